"""Condition features of a shard: every frozen encoder run once per sample, cached under a key of all it depends on."""

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from safetensors import safe_open

from curation.encoders import (
    ConditionEncoders,
    cores_left_by_decoding,
    decoding_processes,
    encoder_identity,
    load_encoders,
)
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

BATCH = 16
SAMPLES_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("clip_id", pa.string()),
        ("window_start", pa.int32()),
        ("reference_frame", pa.int32()),
    ]
    + [("reference_outside", pa.bool_()), ("feature_key", pa.string())]
)


@dataclass(frozen=True)
class FeatureReport:
    """`samples` rows, of which `reused` came from the features that were there and `encoded` were computed."""

    path: Path
    samples: int
    reused: int
    encoded: int
    seconds: float
    features_sha256: str


def build_features(
    shard_dir: Path,
    scores_dir: Path,
    destination: Path,
    profile: Profile,
    progress: Progress | None = None,
    encoders: ConditionEncoders | None = None,
) -> FeatureReport:
    """Write `destination/` samples.parquet, features.safetensors, encoders.json.

    Rows whose feature key stands in `destination` already are copied; when all do, nothing is written and no encoder
    is loaded.

    Args:
        shard_dir: the raw shard.
        scores_dir: its scores; they say how many frames a clip has and where its keypoints are.
        destination: this shard's features.
        profile: bucket and encoders.
        progress: called with (samples done, samples to encode, note).
        encoders: loaded already, when several shards follow one another.

    Raises:
        CurationError: inputs are incomplete or do not belong together.
        ProfileError, FileNotFoundError, OSError: weights are missing.
    """
    started = time.monotonic()
    clips, scores = read_table(shard_dir / "clips.parquet"), read_table(scores_dir / "scores.parquet")
    if set(clips["clip_id"]) != set(scores["clip_id"]):
        raise CurationError(f"{scores_dir} does not belong to {shard_dir}: other clips; score the shard again")
    identity = encoder_identity(profile, read_table_metadata(scores_dir / "scores.parquet")["keypoints"])
    columns = ["clip_id", "keypoints_offset", "keypoints_frames"]
    requests = plan_samples(clips.merge(scores[columns], on="clip_id"), profile.video, identity)
    samples = [sample for request in requests for sample in request.samples]
    cached = _cached_rows(destination)
    if samples and list(cached) == [sample.feature_key for sample in samples]:
        digest = read_table_metadata(destination / "samples.parquet")["features_sha256"]
        return FeatureReport(destination, len(samples), len(samples), 0, time.monotonic() - started, digest)
    encoders = encoders or load_encoders(profile)
    with whole_directory(destination) as folder:
        path = folder / "features.safetensors"
        rows = TensorRows(path, encoders.shapes(len(samples)))
        rows.arrays["null_text"][:] = encoders.null_text()
        _write_keypoints(rows, samples, scores_dir, profile.video.frames)
        reused = _copy_cached(rows, samples, cached, destination / path.name)
        missing = [_only(request, cached) for request in requests]
        total = len(samples) - reused
        where = {sample.sample_id: row for row, sample in enumerate(samples)}
        _encode(rows, encoders, [request for request in missing if request.samples], shard_dir, where, total, progress)
        rows.close()
        digest = sha256_of_file(path)
        metadata = {"features_sha256": digest, "features_bytes": path.stat().st_size}
        write_table(_samples_table(samples), folder / "samples.parquet", SAMPLES_SCHEMA, metadata)
        (folder / "encoders.json").write_text(json.dumps(identity, indent=1, sort_keys=True) + "\n")
    return FeatureReport(destination, len(samples), reused, total, time.monotonic() - started, digest)


def _cached_rows(destination: Path) -> dict[str, int]:
    if not (destination / "samples.parquet").is_file() or not (destination / "features.safetensors").is_file():
        return {}
    keys = read_table(destination / "samples.parquet")["feature_key"]
    return {key: row for row, key in enumerate(keys)}


def _only(request: ClipRequest, cached: dict[str, int]) -> ClipRequest:
    missing = tuple(sample for sample in request.samples if sample.feature_key not in cached)
    return ClipRequest(request.clip_id, request.width, request.height, request.fps, missing)


def _write_keypoints(rows: TensorRows, samples: list[Sample], scores_dir: Path, frames: int) -> None:
    with safe_open(scores_dir / "keypoints.safetensors", "np") as file:
        every = file.get_tensor("keypoints")
    for row, sample in enumerate(samples):
        rows.arrays["keypoints"][row] = every[sample.keypoints_start : sample.keypoints_start + frames]


def _copy_cached(rows: TensorRows, samples: list[Sample], cached: dict[str, int], source: Path) -> int:
    pairs = [(row, cached[s.feature_key]) for row, s in enumerate(samples) if s.feature_key in cached]
    if not pairs:
        return 0
    # Keypoints come from the scores each time: they are not encoded.
    names = [name for name in rows.arrays if name not in ("null_text", "keypoints")]
    with safe_open(source, "np") as file:
        for name in names:
            old = file.get_slice(name)
            for row, old_row in pairs:
                rows.arrays[name][row] = old[old_row : old_row + 1][0]
    return len(pairs)


def _encode(
    rows: TensorRows,
    encoders: ConditionEncoders,
    requests: list[ClipRequest],
    shard_dir: Path,
    where: dict[str, int],
    total: int,
    progress: Progress | None,
) -> None:
    work = (shard_dir, encoders.profile.video)
    decoded = map_over_clips(cut_samples, work, requests, processes=decoding_processes())
    done = 0
    with cores_left_by_decoding():
        for batch in _batches(cut for clip in decoded for cut in clip):
            index = [where[cut.sample.sample_id] for cut in batch]
            for name, value in encoders.encode(batch).items():
                rows.arrays[name][index] = value
            done += len(batch)
            if progress is not None:
                progress(done, total, "encoding conditions")


def _batches(cuts: Iterable[CutSample]) -> Iterator[list[CutSample]]:
    iterator = iter(cuts)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _samples_table(samples: list[Sample]) -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "sample_id": sample.sample_id,
            "clip_id": sample.clip_id,
            "window_start": sample.window.start,
            "reference_frame": sample.window.reference_frame,
            "reference_outside": sample.window.reference_outside,
            "feature_key": sample.feature_key,
        }
        for sample in samples
    ]
    return pd.DataFrame(rows, columns=SAMPLES_SCHEMA.names)
