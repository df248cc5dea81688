"""One bucket's samples of one shard, from clips and cached rows to one file of features."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import safe_open

from curation.features.encoders import ConditionEncoders, cores_left_by_decoding, decoding_processes
from curation.features.feature_cache import DECODED, PARTS, FeatureCache, PieceKeeper
from curation.features.training_samples import ClipRequest, CutSample, Sample, cut_samples
from curation.tables.failures import Failure, failure_of, is_the_clips_own, lost_clip
from curation.tables.safetensors_fill import TensorRows
from curation.workers import Progress, map_over_clips
from profiles.schema import Bucket, VideoConfig

BATCH = 16
Place = tuple[str, int]  # bucket and row of its file
Item = TypeVar("Item")


class Counted:
    """Progress over all buckets."""

    def __init__(self, total: int, progress: Progress | None):
        self.total, self.progress, self.done = total, progress, 0

    def add(self, samples: int) -> None:
        self.done += samples
        if self.progress is not None:
            self.progress(self.done, self.total, "encoding conditions")


@dataclass(frozen=True)
class BucketWork:
    """One bucket's samples of one shard, from clips and cached rows to one file."""

    shard_dir: Path
    scores_dir: Path
    cache: FeatureCache
    lacking: dict[str, frozenset[str]]
    encoders: ConditionEncoders
    video: VideoConfig
    bucket: Bucket
    pieces: Path | None

    @property
    def name(self) -> str:
        return self.video.name_of(self.bucket)

    def write(
        self, path: Path, requests: list[ClipRequest], counted: Counted
    ) -> tuple[dict[str, Place], dict[str, Failure]]:
        """Returns sample id to place, and the failures of samples that have none: the row is left empty, and no table names it."""
        samples = [sample for request in requests for sample in request.samples]
        rows = TensorRows(path, self.encoders.shapes(len(samples), self.video.only(self.bucket)))
        rows.arrays["null_text"][:] = self.encoders.null_text()
        self._write_keypoints(rows, samples)
        self.cache.copy(samples, rows.arrays)
        keeper = PieceKeeper(self.pieces, self.name) if self.pieces is not None else None
        put = _Put(rows, {sample.sample_id: row for row, sample in enumerate(samples)}, keeper)
        with cores_left_by_decoding():
            self._encode(put, requests, counted)
            self._encode_captions(put, samples, counted)
        rows.close()
        places = {sample_id: (self.name, row) for sample_id, row in put.where.items() if sample_id not in put.failed}
        return places, put.failed

    def _write_keypoints(self, rows: TensorRows, samples: list[Sample]) -> None:
        with safe_open(self.scores_dir / "keypoints.safetensors", "np") as file:
            every = file.get_slice("keypoints")  # of the whole shard: only the rows of one sample are read at a time
            for row, sample in enumerate(samples):
                start = sample.keypoints_start
                rows.arrays["keypoints"][row] = every[start : start + self.bucket.frames]

    def _encode(self, put: "_Put", requests: list[ClipRequest], counted: Counted) -> None:
        """What clips are decoded for, and the captions of those samples."""
        video = self.video.only(self.bucket)
        wanted = [
            replace(r, samples=tuple(s for s in r.samples if self.lacking[s.sample_id] & DECODED)) for r in requests
        ]
        work, wanted = (self.shard_dir, self.video), [request for request in wanted if request.samples]
        decoded = map_over_clips(cut_samples, work, wanted, processes=decoding_processes(), lost=_lost)
        for batch in _batches(self._cuts(put, wanted, decoded, counted)):
            for part in PARTS:
                own = [cut for cut in batch if part in self.lacking[cut.sample.sample_id]]
                put.encoded(part, own, partial(self._part, part, video), _sample_of)
            counted.add(len(batch))

    def _cuts(
        self, put: "_Put", requests: list[ClipRequest], decoded: Iterator[list[CutSample] | Failure], counted: Counted
    ) -> Iterator[CutSample]:
        """The samples of clips that could be decoded."""
        for request, cut in zip(requests, decoded, strict=True):
            if isinstance(cut, Failure):
                put.failed |= {sample.sample_id: cut for sample in request.samples}
                counted.add(len(request.samples))
            else:
                yield from cut

    def _encode_captions(self, put: "_Put", samples: list[Sample], counted: Counted) -> None:
        """Captions of samples that need nothing else."""
        for batch in _batches(s for s in samples if self.lacking[s.sample_id] == {"text"}):
            put.encoded("text", batch, self._captions, lambda sample: sample)
            counted.add(len(batch))

    def _part(self, part: str, video: VideoConfig, cuts: list[CutSample]) -> dict[str, np.ndarray]:
        return self.encoders.encode(part, cuts, video)

    def _captions(self, samples: list[Sample]) -> dict[str, np.ndarray]:
        return self.encoders.encode_captions([sample.caption for sample in samples])


@dataclass
class _Put:
    """Writes what was encoded into its rows, and into pieces; what could not be encoded is in `failed`."""

    rows: TensorRows
    where: dict[str, int]
    keeper: PieceKeeper | None
    failed: dict[str, Failure] = field(default_factory=dict)

    def encoded(
        self,
        part: str,
        batch: list[Item],
        encode: Callable[[list[Item]], dict[str, np.ndarray]],
        sample_of: Callable[[Item], Sample],
    ) -> None:
        """Encode one part of a batch and write it; where that fails, of each sample alone, so that one costs no other its row."""
        if not batch:
            return
        try:
            found = encode(batch)
        except Exception as error:
            if not is_the_clips_own(error):
                raise
            for item in batch if len(batch) > 1 else ():
                self.encoded(part, [item], encode, sample_of)
            if len(batch) == 1:
                sample = sample_of(batch[0])
                self.failed[sample.sample_id] = failure_of(sample.clip_id, f"encoding {part}", error)
            return
        self._write(part, [sample_of(item) for item in batch], found)

    def _write(self, part: str, samples: list[Sample], found: dict[str, np.ndarray]) -> None:
        index = [self.where[sample.sample_id] for sample in samples]
        for name, value in found.items():
            self.rows.arrays[name][index] = value
        if self.keeper is not None:
            self.keeper.add(part, samples, {name: self.rows.arrays[name][index] for name in found})


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _sample_of(cut: CutSample) -> Sample:
    return cut.sample


def _lost(request: ClipRequest) -> Failure:
    return lost_clip(request.clip_id, "decoding")
