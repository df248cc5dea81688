"""Condition features of a shard: every frozen encoder run once per sample, cached under a key of all it depends on.

Rows of one bucket stand in one file, `features-<bucket>.safetensors`: a tensor's rows have one shape.
"""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open

from curation.contracts import SAMPLES
from curation.encoders import (
    ConditionEncoders,
    cores_left_by_decoding,
    decoding_processes,
    encoder_identity,
    load_encoders,
)
from curation.feature_files import SAMPLES_SCHEMA, features_digest, features_file
from curation.quarantine import quarantined_clips, split_by_contract, write_quarantine
from curation.samples import ClipRequest, CutSample, Sample, cut_samples, plan_samples
from curation.storage import (
    CurationError,
    read_table,
    read_table_metadata,
    write_table,
)
from curation.tensor_rows import TensorRows
from curation.workers import Progress, map_over_clips
from media import sha256_of_file, whole_directory
from profiles import Profile
from profiles.schema import Bucket, VideoConfig

BATCH = 16
Place = tuple[str, int]  # bucket and row of its file


@dataclass(frozen=True)
class FeatureReport:
    """`samples` rows, of which `reused` came from the features that were there and `encoded` were computed.

    `bytes` counts the feature files; `features_sha256` is a hash over theirs.
    """

    path: Path
    samples: int
    reused: int
    encoded: int
    seconds: float
    features_sha256: str
    bytes: int


def build_features(
    shard_dir: Path,
    scores_dir: Path,
    destination: Path,
    profile: Profile,
    progress: Progress | None = None,
    encoders: ConditionEncoders | None = None,
) -> FeatureReport:
    """Write `destination/` samples.parquet, quarantine.parquet, encoders.json and a features file per bucket that has samples.

    A planned sample that breaks the contract of samples.parquet is quarantined before anything is encoded for it.
    Rows whose feature key stands in `destination` already are copied; when all do, nothing is written and no encoder
    is loaded.

    Args:
        shard_dir: the raw shard.
        scores_dir: its scores; they say what a clip's caption is, how many frames it has and where its keypoints are.
        destination: this shard's features.
        profile: buckets and encoders.
        progress: called with (samples done, samples to encode, note).
        encoders: loaded already, when several shards follow one another.

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
    cached = _cached_places(destination)
    reused = sum(sample.feature_key in cached for sample in samples)
    listed = (destination / "quarantine.parquet").is_file()
    if listed and list(cached) == [sample.feature_key for sample in samples] and _made_with(destination) == identity:
        made = read_table_metadata(destination / "samples.parquet")
        seconds = time.monotonic() - started
        return FeatureReport(destination, len(samples), reused, 0, seconds, made["features_sha256"], made["features_bytes"])
    total = len(samples) - reused
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
            work = _BucketWork(shard_dir, scores_dir, destination, encoders, profile.video, bucket, cached)
            path = features_file(folder, work.name)
            places |= work.write(path, mine, counted)
            files[work.name] = path
        hashes = {name: sha256_of_file(path) for name, path in files.items()}
        size = sum(path.stat().st_size for path in files.values())
        digest = features_digest(hashes)
        metadata = {"features_sha256": digest, "features_bytes": size, "files": hashes}
        write_table(_samples_table(samples, places), folder / "samples.parquet", SAMPLES_SCHEMA, metadata, SAMPLES)
        write_quarantine(folder, refused)
        (folder / "encoders.json").write_text(json.dumps(identity, indent=1, sort_keys=True) + "\n")
    return FeatureReport(destination, len(samples), reused, total, time.monotonic() - started, digest, size)


def _keeping_the_contract(requests: list[ClipRequest], clips: pd.DataFrame) -> tuple[list[ClipRequest], pd.DataFrame]:
    """The plan without the samples that break the contract, and quarantine rows for those."""
    planned = _samples_table([sample for request in requests for sample in request.samples], {})
    kept, refused = split_by_contract(planned, SAMPLES, clips, "samples.parquet")
    if refused.empty:
        return requests, refused
    ids = set(kept["sample_id"])
    return [replace(r, samples=tuple(s for s in r.samples if s.sample_id in ids)) for r in requests], refused


def _cached_places(destination: Path) -> dict[str, Place]:
    """Feature key to where it stands; nothing unless every file that the table names is there."""
    if not (destination / "samples.parquet").is_file():
        return {}
    table = read_table(destination / "samples.parquet")
    if not {"bucket", "row"} <= set(table.columns):  # made before there were buckets
        return {}
    if not all(features_file(destination, bucket).is_file() for bucket in table["bucket"].unique()):
        return {}
    return dict(zip(table["feature_key"], zip(table["bucket"], table["row"].tolist(), strict=True), strict=True))


def _made_with(destination: Path) -> Any:
    path = destination / "encoders.json"
    return json.loads(path.read_text()) if path.is_file() else None


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
    destination: Path
    encoders: ConditionEncoders
    video: VideoConfig
    bucket: Bucket
    cached: dict[str, Place]

    @property
    def name(self) -> str:
        return self.video.name_of(self.bucket)

    def write(self, path: Path, requests: list[ClipRequest], counted: _Counted) -> dict[str, Place]:
        """Returns sample id to place."""
        samples = [sample for request in requests for sample in request.samples]
        rows = TensorRows(path, self.encoders.shapes(len(samples), self.video.only(self.bucket)))
        rows.arrays["null_text"][:] = self.encoders.null_text()
        self._write_keypoints(rows, samples)
        self._copy_cached(rows, samples)
        where = {sample.sample_id: row for row, sample in enumerate(samples)}
        self._encode(rows, [m for r in requests if (m := _only(r, self.cached)).samples], where, counted)
        rows.close()
        return {sample_id: (self.name, row) for sample_id, row in where.items()}

    def _write_keypoints(self, rows: TensorRows, samples: list[Sample]) -> None:
        with safe_open(self.scores_dir / "keypoints.safetensors", "np") as file:
            every = file.get_slice("keypoints")  # of the whole shard: only the rows of one sample are read at a time
            for row, sample in enumerate(samples):
                start = sample.keypoints_start
                rows.arrays["keypoints"][row] = every[start : start + self.bucket.frames]

    def _copy_cached(self, rows: TensorRows, samples: list[Sample]) -> None:
        pairs = [(row, self.cached[s.feature_key][1]) for row, s in enumerate(samples) if s.feature_key in self.cached]
        if not pairs:
            return
        # Keypoints come from the scores each time: they are not encoded. The key holds the bucket: all are in one old file.
        with safe_open(features_file(self.destination, self.name), "np") as file:
            for name in (name for name in rows.arrays if name not in ("null_text", "keypoints")):
                old = file.get_slice(name)
                for row, old_row in pairs:
                    rows.arrays[name][row] = old[old_row : old_row + 1][0]

    def _encode(self, rows: TensorRows, requests: list[ClipRequest], where: dict[str, int], counted: _Counted) -> None:
        video = self.video.only(self.bucket)
        decoded = map_over_clips(cut_samples, (self.shard_dir, self.video), requests, processes=decoding_processes())
        with cores_left_by_decoding():
            for batch in _batches(cut for clip in decoded for cut in clip):
                index = [where[cut.sample.sample_id] for cut in batch]
                for name, value in self.encoders.encode(batch, video).items():
                    rows.arrays[name][index] = value
                counted.add(len(batch))


def _only(request: ClipRequest, cached: dict[str, Place]) -> ClipRequest:
    missing = tuple(sample for sample in request.samples if sample.feature_key not in cached)
    return ClipRequest(request.clip_id, request.width, request.height, request.fps, missing)


def _batches(cuts: Iterable[CutSample]) -> Iterator[list[CutSample]]:
    iterator = iter(cuts)
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
        }
        for sample in samples
    ]
    return pd.DataFrame(rows, columns=SAMPLES_SCHEMA.names)
