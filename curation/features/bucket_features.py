"""One bucket's samples of one shard, from clips and cached rows to files of features."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
from safetensors import safe_open

from curation.features.encoders import Encoded, Encoders, cores_left_by_decoding, decoding_processes
from curation.features.feature_cache import DECODED, FeatureCache, PieceKeeper
from curation.features.feature_writer import BucketWriter, RowShapes
from curation.features.text_features import WrittenTexts
from curation.features.training_samples import ClipRequest, CutSample, Sample, cut_samples
from curation.features.windows import MOTION_FRAMES
from curation.tables.failures import Failure, failure_of, lost_clip, ran_out_of_memory, too_large
from curation.workers import AHEAD, OverClips, Progress
from profiles.schema import Bucket, EncoderConfig, VideoConfig

WAITING = 4 * 2**30  # bytes of decoded clips that may wait for the encoders: one of eight windows at 480p has 834 MB
Place = tuple[str, int]  # bucket and row of it
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
    """One bucket's samples of one shard, from clips and cached rows to files."""

    shard_dir: Path
    scores_dir: Path
    cache: FeatureCache
    lacking: dict[str, frozenset[str]]
    encoders: Callable[[], Encoders]
    video: VideoConfig
    bucket: Bucket
    pieces: Path | None
    kept: EncoderConfig
    over_clips: OverClips

    @property
    def name(self) -> str:
        return self.video.name_of(self.bucket)

    def write(
        self, folder: Path, requests: list[ClipRequest], texts: WrittenTexts, counted: Counted
    ) -> tuple[dict[str, Path], dict[str, Place], dict[str, Failure]]:
        """Returns the files, sample id to place, and the failures of samples that have none: the row is left empty, and no table
        names it."""
        samples = [sample for request in requests for sample in request.samples]
        motion = [sample.window.has_motion for sample in samples]
        writer = BucketWriter(folder, self.name, self._shapes(samples), motion, self.kept.latents)
        self._write_keypoints(writer, samples)
        self.cache.copy(samples, writer)
        states = self.kept.audio_states
        keeper = PieceKeeper(self.pieces, self.name, states) if self.pieces is not None else None
        put = _Put(writer, {sample.sample_id: row for row, sample in enumerate(samples)}, keeper)
        for row, sample in enumerate(samples):
            key = sample.part_keys["text"]
            if key in texts.failed:
                put.failed[sample.sample_id] = replace(texts.failed[key], clip_id=sample.clip_id)
            else:
                writer.put([row], {"text_row": np.array([texts.numbers[key]])})
        with cores_left_by_decoding():
            self._encode(put, requests, counted)
        writer.close()
        places = {sample_id: (self.name, row) for sample_id, row in put.where.items() if sample_id not in put.failed}
        return writer.files, places, put.failed

    def _shapes(self, samples: list[Sample]) -> RowShapes:
        """From the encoders, or where nothing is to be encoded from what stands."""
        keypoints = (self.bucket.frames, 133, 3)
        if any(self.lacking[sample.sample_id] & DECODED for sample in samples):
            return {**self.encoders().row_shapes(self.video.only(self.bucket)), "keypoints": keypoints}
        return {**self.cache.shapes(samples[0]), "keypoints": keypoints}

    def _write_keypoints(self, writer: BucketWriter, samples: list[Sample]) -> None:
        with safe_open(self.scores_dir / "keypoints.safetensors", "np") as file:
            every = file.get_slice("keypoints")  # of the whole shard: only the rows of one sample are read at a time
            for row, sample in enumerate(samples):
                start = sample.keypoints_start
                writer.put([row], {"keypoints": every[start : start + self.bucket.frames][None]})

    def _encode(self, put: "_Put", requests: list[ClipRequest], counted: Counted) -> None:
        """What clips are decoded for."""
        video = self.video.only(self.bucket)
        wanted = [
            replace(r, samples=tuple(s for s in r.samples if self.lacking[s.sample_id] & DECODED)) for r in requests
        ]
        work, wanted = (self.shard_dir, self.video), [request for request in wanted if request.samples]
        if not wanted:
            return
        ahead = clips_ahead(self.bucket, self.video.windows_per_clip)
        decoded = self.over_clips(cut_samples, work, wanted, processes=decoding_processes(), lost=_lost, ahead=ahead)
        encoders = self.encoders()
        batches = _batches(self._cuts(put, wanted, decoded, counted), encoders.windows_at_once(self.bucket))
        for batch, begun in _begun(batches, partial(self._begin, encoders, video), encoders.at_once):
            for part, own, encoded in begun:
                put.encoded(part, own, encoded, partial(encoders.encode, part, video=video))
            counted.add(len(batch))

    def _begin(
        self, encoders: Encoders, video: VideoConfig, batch: list[CutSample]
    ) -> list[tuple[str, list[CutSample], Encoded]]:
        begun = []
        for part in ("latents", "audio"):
            own = [cut for cut in batch if part in self.lacking[cut.sample.sample_id]]
            if own:
                begun.append((part, own, encoders.begin(part, own, video)))
        return begun

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


@dataclass
class _Put:
    """Writes what was encoded into its rows, and into pieces; what could not be encoded is in `failed`."""

    writer: BucketWriter
    where: dict[str, int]
    keeper: PieceKeeper | None
    failed: dict[str, Failure] = field(default_factory=dict)

    def encoded(
        self,
        part: str,
        batch: list[CutSample],
        encoded: Encoded,
        encode: Callable[[list[CutSample]], dict[str, np.ndarray]],
    ) -> None:
        """Write one part of a batch; where that failed encode each sample alone, so that one costs no other its row, and where the
        accelerator's memory ran out half of them at a time."""
        clip_id, doing, size = batch[0].sample.clip_id, f"encoding {part}", 1
        try:
            found = encoded()
        except Exception as error:
            if ran_out_of_memory(error):
                failure, size = too_large(clip_id, doing), (len(batch) + 1) // 2
            else:
                failure = failure_of(clip_id, doing, error)
        else:
            return self._write(part, [cut.sample for cut in batch], found)
        # Here, where the error and with it what its frames hold of the accelerator's memory is gone.
        if len(batch) == 1:
            self.failed[batch[0].sample.sample_id] = failure
            return
        for fewer in _batches(batch, size):
            self.encoded(part, fewer, partial(encode, fewer), encode)

    def _write(self, part: str, samples: list[Sample], found: dict[str, np.ndarray]) -> None:
        self.writer.put([self.where[sample.sample_id] for sample in samples], found)
        if self.keeper is not None:
            self.keeper.add(part, [sample.part_keys[part] for sample in samples], found)


def clips_ahead(bucket: Bucket, windows: int) -> int:
    """How many decoded clips may wait: their windows, references and the frames before, in 8 bits."""
    frames = windows * (bucket.frames + 1 + MOTION_FRAMES)
    return max(1, min(AHEAD, WAITING // (3 * frames * bucket.height * bucket.width)))


def _begun(
    batches: Iterable[list[CutSample]], begin: Callable[[list[CutSample]], Item], at_once: int
) -> Iterator[tuple[list[CutSample], Item]]:
    """Batches in order with what `begin` gave for each, `at_once` of them begun before the first is handed over."""
    waiting: deque[tuple[list[CutSample], Item]] = deque()
    for batch in batches:
        waiting.append((batch, begin(batch)))
        if len(waiting) >= at_once:
            yield waiting.popleft()
    yield from waiting


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _lost(request: ClipRequest) -> Failure:
    return lost_clip(request.clip_id, "decoding")
