"""Condition features of a shard: every frozen encoder run once per sample, each one's part cached under a key of all it depends on.

Rows of one bucket stand in one file, `features-<bucket>.safetensors`: a tensor's rows have one shape.
"""

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from safetensors import safe_open

from curation.features.encoders import (
    ConditionEncoders,
    cores_left_by_decoding,
    decoding_processes,
    encoder_identity,
    load_encoders,
)
from curation.features.feature_cache import DECODED, PARTS, FeatureCache, PieceKeeper
from curation.features.feature_files import SAMPLES_SCHEMA, features_digest, features_file
from curation.features.training_samples import ClipRequest, Sample, cut_samples, plan_samples
from curation.tables.contracts import SAMPLES
from curation.tables.quarantine import quarantined_clips, split_by_contract, write_quarantine
from curation.tables.safetensors_fill import TensorRows
from curation.tables.storage import (
    CurationError,
    read_table,
    read_table_metadata,
    write_table,
)
from curation.workers import Progress, map_over_clips
from media import sha256_of_file, whole_directory
from media.records import EncodersRecord
from profiles import Profile
from profiles.schema import Bucket, VideoConfig

BATCH = 16
Place = tuple[str, int]  # bucket and row of its file
Item = TypeVar("Item")


@dataclass(frozen=True)
class FeatureReport:
    """`samples` rows, of which `reused` came whole from the features that were there; of `encoded` some part was computed, and
    `computed` says of how many each part.

    `bytes` counts the feature files; `features_sha256` is a hash over theirs.
    """

    path: Path
    samples: int
    reused: int
    encoded: int
    seconds: float
    features_sha256: str
    bytes: int
    computed: dict[str, int]


def build_features(
    shard_dir: Path,
    scores_dir: Path,
    destination: Path,
    profile: Profile,
    progress: Progress | None = None,
    encoders: ConditionEncoders | None = None,
    pieces: Path | None = None,
) -> FeatureReport:
    """Write `destination/` samples.parquet, quarantine.parquet, encoders.json and a features file per bucket that has samples.

    A planned sample that breaks the contract of samples.parquet is quarantined before anything is encoded for it.
    What stands in `destination` already under the key of its part is copied; when every row does, nothing is written and no
    encoder is loaded. A clip of which only the caption changed is not decoded.

    Args:
        shard_dir: the raw shard.
        scores_dir: its scores; they say what a clip's caption is, how many frames it has and where its keypoints are.
        destination: this shard's features.
        profile: buckets and encoders.
        progress: called with (samples done, samples to encode, note).
        encoders: loaded already, when several shards follow one another.
        pieces: folder of this shard alone, where what is encoded is kept until all is: a build that was killed goes on from
            there. None keeps nothing.

    Raises:
        CurationError: inputs are incomplete or do not belong together.
        ProfileError, FileNotFoundError, OSError: weights are missing.
    """
    started = time.monotonic()
    clips, scores = read_table(shard_dir / "clips.parquet"), read_table(scores_dir / "scores.parquet")
    if set(clips["clip_id"]) != set(scores["clip_id"]) | set(quarantined_clips(scores_dir)):
        raise CurationError(f"{scores_dir} does not belong to {shard_dir}: other clips; score the shard again")
    identity = encoder_identity(profile, read_table_metadata(scores_dir / "scores.parquet")["keypoints"])
    columns = ["clip_id", "caption", "keypoints_offset", "keypoints_frames"]
    if "caption" not in scores:
        raise CurationError(f"{scores_dir} has no captions, an older version made it; score the shard again")
    # The caption that the scores chose: clips.parquet has the sidecar's alone.
    requests = plan_samples(clips.drop(columns="caption").merge(scores[columns], on="clip_id"), profile.video, identity)
    requests, refused = _keeping_the_contract(requests, clips)
    samples = [sample for request in requests for sample in request.samples]
    cache = FeatureCache.of(destination, pieces)
    lacking = {sample.sample_id: cache.lacking(sample) for sample in samples}
    computed = {part: sum(part in parts for parts in lacking.values()) for part in PARTS}
    total = sum(map(bool, lacking.values()))
    reused = len(samples) - total
    listed = (destination / "quarantine.parquet").is_file()
    if (
        listed
        and cache.order == tuple(s.feature_key for s in samples)
        and EncodersRecord.read_if_there(destination) == EncodersRecord(identity)
    ):
        made = read_table_metadata(destination / "samples.parquet")
        seconds = time.monotonic() - started
        sizes = made["features_sha256"], made["features_bytes"]
        return FeatureReport(destination, len(samples), reused, 0, seconds, *sizes, computed)
    counted = _Counted(total, progress)
    with whole_directory(destination) as folder:
        files: dict[str, Path] = {}
        places: dict[str, Place] = {}
        if samples:
            encoders = encoders or load_encoders(profile)
        for bucket in profile.video.all_buckets:
            mine = [r for r in requests if r.samples and r.samples[0].bucket == bucket]
            if not mine:
                continue
            assert encoders is not None
            work = _BucketWork(shard_dir, scores_dir, cache, lacking, encoders, profile.video, bucket, pieces)
            path = features_file(folder, work.name)
            places |= work.write(path, mine, counted)
            files[work.name] = path
        hashes = {name: sha256_of_file(path) for name, path in files.items()}
        size = sum(path.stat().st_size for path in files.values())
        digest = features_digest(hashes)
        metadata = {"features_sha256": digest, "features_bytes": size, "files": hashes}
        write_table(_samples_table(samples, places), folder / "samples.parquet", SAMPLES_SCHEMA, metadata, SAMPLES)
        write_quarantine(folder, refused)
        EncodersRecord(identity).write(folder)
    if pieces is not None:
        shutil.rmtree(pieces, ignore_errors=True)
    return FeatureReport(destination, len(samples), reused, total, time.monotonic() - started, digest, size, computed)


def _keeping_the_contract(requests: list[ClipRequest], clips: pd.DataFrame) -> tuple[list[ClipRequest], pd.DataFrame]:
    """The plan without the samples that break the contract, and quarantine rows for those."""
    planned = _samples_table([sample for request in requests for sample in request.samples], {})
    kept, refused = split_by_contract(planned, SAMPLES, clips, "samples.parquet")
    if refused.empty:
        return requests, refused
    ids = set(kept["sample_id"])
    return [replace(r, samples=tuple(s for s in r.samples if s.sample_id in ids)) for r in requests], refused


class _Counted:
    """Progress over all buckets."""

    def __init__(self, total: int, progress: Progress | None):
        self.total, self.progress, self.done = total, progress, 0

    def add(self, samples: int) -> None:
        self.done += samples
        if self.progress is not None:
            self.progress(self.done, self.total, "encoding conditions")


@dataclass(frozen=True)
class _BucketWork:
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

    def write(self, path: Path, requests: list[ClipRequest], counted: _Counted) -> dict[str, Place]:
        """Returns sample id to place."""
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
        return {sample_id: (self.name, row) for sample_id, row in put.where.items()}

    def _write_keypoints(self, rows: TensorRows, samples: list[Sample]) -> None:
        with safe_open(self.scores_dir / "keypoints.safetensors", "np") as file:
            every = file.get_slice("keypoints")  # of the whole shard: only the rows of one sample are read at a time
            for row, sample in enumerate(samples):
                start = sample.keypoints_start
                rows.arrays["keypoints"][row] = every[start : start + self.bucket.frames]

    def _encode(self, put: "_Put", requests: list[ClipRequest], counted: _Counted) -> None:
        """What clips are decoded for, and the captions of those samples."""
        video = self.video.only(self.bucket)
        wanted = [
            replace(r, samples=tuple(s for s in r.samples if self.lacking[s.sample_id] & DECODED)) for r in requests
        ]
        work, wanted = (self.shard_dir, self.video), [request for request in wanted if request.samples]
        decoded = map_over_clips(cut_samples, work, wanted, processes=decoding_processes())
        for batch in _batches(cut for clip in decoded for cut in clip):
            for part in PARTS:
                own = [cut for cut in batch if part in self.lacking[cut.sample.sample_id]]
                if own:
                    put(part, [cut.sample for cut in own], self.encoders.encode(part, own, video))
            counted.add(len(batch))

    def _encode_captions(self, put: "_Put", samples: list[Sample], counted: _Counted) -> None:
        """Captions of samples that need nothing else."""
        for batch in _batches(s for s in samples if self.lacking[s.sample_id] == {"text"}):
            put("text", batch, self.encoders.encode_captions([sample.caption for sample in batch]))
            counted.add(len(batch))


@dataclass(frozen=True)
class _Put:
    """Writes what was encoded into its rows, and into pieces."""

    rows: TensorRows
    where: dict[str, int]
    keeper: PieceKeeper | None

    def __call__(self, part: str, samples: list[Sample], found: dict[str, np.ndarray]) -> None:
        index = [self.where[sample.sample_id] for sample in samples]
        for name, value in found.items():
            self.rows.arrays[name][index] = value
        if self.keeper is not None:
            self.keeper.add(part, samples, {name: self.rows.arrays[name][index] for name in found})


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _samples_table(samples: list[Sample], places: dict[str, Place]) -> pd.DataFrame:
    """Rows of samples.parquet; a sample without a place is only planned."""
    planned: Place = ("", -1)
    rows: list[dict[str, Any]] = [
        {
            "sample_id": sample.sample_id,
            "clip_id": sample.clip_id,
            "bucket": places.get(sample.sample_id, planned)[0],
            "row": places.get(sample.sample_id, planned)[1],
            "window_start": sample.window.start,
            "reference_frame": sample.window.reference_frame,
            "reference_outside": sample.window.reference_outside,
            "has_motion": sample.window.has_motion,
            "feature_key": sample.feature_key,
            **{f"{part}_key": key for part, key in sample.part_keys.items()},
        }
        for sample in samples
    ]
    return pd.DataFrame(rows, columns=SAMPLES_SCHEMA.names)
