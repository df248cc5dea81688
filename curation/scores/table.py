"""The score table of a shard: one row per clip, one column per score; no clip is ever dropped."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from safetensors.numpy import save_file

from curation.archive import read_clip
from curation.contracts import SCORES as CONTRACT
from curation.keypoints import KEYPOINTS, Detected, KeypointDetector
from curation.scores.cache import ColumnCache
from curation.scores.clip import score_material
from curation.scores.contract import Score, Values, digest
from curation.scores.material import Bench, Material
from curation.scores.registry import columns_of, switched_on
from curation.storage import CurationError, read_table, write_table
from curation.workers import Progress, map_over_clips
from media import MediaError, Span, whole_directory
from profiles import Profile
from profiles.scores import ScoresConfig

# Facts of the clip itself that predicates may read; with them here a query over all shards needs no other table.
CLIP_COLUMNS = {
    "width": "float", "height": "float", "fps": "float", "seconds": "float", "frames": "float", "near_duplicate": "bool",
}  # fmt: skip
ARROW = {"float": pa.float64(), "bool": pa.bool_()}
KEYPOINTS_KEY = "keypoints"


def scores_schema(scores: ScoresConfig) -> pa.Schema:
    """The table's columns under a configuration."""
    columns = {**CLIP_COLUMNS, **columns_of(scores)}
    return pa.schema(
        [("clip_id", pa.string()), *((name, ARROW[kind]) for name, kind in columns.items())]
        + [("keypoints_offset", pa.int64()), ("keypoints_frames", pa.int64())]
    )


@dataclass(frozen=True)
class ScoreReport:
    """`clips` scored in `seconds`; `versions` is what stands in the table's metadata; `computed` says for how many clips
    each score was computed now, the others being kept from before."""

    path: Path
    clips: int
    seconds: float
    versions: dict[str, Any]
    computed: dict[str, int]


def score_shard(
    shard_dir: Path,
    destination: Path,
    detector: KeypointDetector,
    profile: Profile,
    progress: Progress | None = None,
    cache: Path | None = None,
) -> ScoreReport:
    """Write `destination/` scores.parquet and keypoints.safetensors. A clip is decoded at most once, and only for scores
    that were not computed before.

    Args:
        shard_dir: the raw shard.
        destination: the shard's scores.
        detector: finds keypoints.
        profile: bucket and scores.
        progress: called with (done, total, note).
        cache: where columns are kept under their keys; None keeps nothing.

    Raises:
        CurationError: the shard is incomplete, a clip that was decodable at ingest no longer is, or weights are missing.
    """
    started = time.monotonic()
    scores = profile.curation.scores
    clips = read_table(shard_dir / "clips.parquet")
    bench = Bench(profile.video, detector, tuple(profile.transformer.pose_keypoints), scores.native_frames)
    keys = {score.name: score.key(scores, bench) for score in switched_on(scores)}
    keys[KEYPOINTS_KEY] = f"keypoints-{digest(bench.identity('keypoints'))}"
    kept = _Kept.read(ColumnCache(cache, shard_dir.name), keys)
    jobs = [_job(record, kept, scores) for record in clips.to_dict("records")]
    todo = [job for job in jobs if job.missing or job.detected is None]
    done = map_over_clips(_score, _Work(shard_dir, bench, scores), todo, progress, "scoring clips")
    computed = dict.fromkeys(keys, 0)
    for job, result in zip(todo, done, strict=True):
        kept.add(job.sha256, result)
        for name in result.values:
            computed[name] += 1
        computed[KEYPOINTS_KEY] += job.detected is None
    kept.write(ColumnCache(cache, shard_dir.name), keys, computed)
    versions = score_versions(bench, scores, keys)
    with whole_directory(destination) as folder:
        _write(folder, clips, kept, scores, versions)
    return ScoreReport(destination, len(clips), time.monotonic() - started, versions, computed)


def score_versions(bench: Bench, scores: ScoresConfig, keys: dict[str, str]) -> dict[str, Any]:
    """What decides a score's value besides the clip; goes into the table's metadata."""
    return {
        "scores": {score.name: {"version": score.version, "key": keys[score.name]} for score in switched_on(scores)},
        "transform": bench.identity("frames"),
        "keypoints": f"{bench.detector.name}-{bench.detector.version}",
        "pose_keypoints": list(bench.pose_keypoints),
    }


@dataclass(frozen=True)
class _Work:
    shard_dir: Path
    bench: Bench
    scores: ScoresConfig


@dataclass(frozen=True)
class _Job:
    record: dict[str, Any]
    missing: tuple[str, ...]
    detected: Detected | None

    @property
    def sha256(self) -> str:
        return self.record["sha256"]


@dataclass(frozen=True)
class _Result:
    """Columns by score."""

    values: dict[str, Values]
    detected: Detected


@dataclass(frozen=True)
class _Kept:
    """Columns by score and clip, and keypoints by clip."""

    columns: dict[str, dict[str, Values]]
    keypoints: dict[str, Detected]

    @classmethod
    def read(cls, cache: ColumnCache, keys: dict[str, str]) -> "_Kept":
        columns = {name: cache.read(key) for name, key in keys.items() if name != KEYPOINTS_KEY}
        return cls(columns, cache.read_keypoints(keys[KEYPOINTS_KEY]))

    def add(self, sha256: str, result: _Result) -> None:
        self.keypoints[sha256] = result.detected
        for name, values in result.values.items():
            self.columns[name][sha256] = values

    def write(self, cache: ColumnCache, keys: dict[str, str], computed: dict[str, int]) -> None:
        for name in [name for name, count in computed.items() if count]:
            if name == KEYPOINTS_KEY:
                cache.write_keypoints(keys[name], self.keypoints)
            else:
                cache.write(keys[name], self.columns[name])


def _job(record: dict[str, Any], kept: _Kept, scores: ScoresConfig) -> _Job:
    sha256 = record["sha256"]
    missing = tuple(score.name for score in switched_on(scores) if sha256 not in kept.columns[score.name])
    return _Job(record, missing, kept.keypoints.get(sha256))


def _score(work: _Work, job: _Job) -> _Result:
    def read() -> bytes | Span:
        return read_clip(work.shard_dir, job.record["clip_id"])

    material = Material(work.bench, job.record, read, job.detected)
    wanted: list[Score] = [score for score in switched_on(work.scores) if score.name in job.missing]
    try:
        values = {score.name: score_material(material, [score], work.scores) for score in wanted}
        return _Result(values, material.detected)
    except MediaError as error:
        clip = job.record["clip_id"]
        raise CurationError(f"clip {clip} of {work.shard_dir} cannot be decoded: {error}") from error


def _write(folder: Path, clips: pd.DataFrame, kept: _Kept, scores: ScoresConfig, versions: dict[str, Any]) -> None:
    rows: list[dict[str, Any]] = []
    keypoints: list[np.ndarray] = []
    offset = 0
    for record in clips.to_dict("records"):
        sha256 = record["sha256"]
        points = kept.keypoints[sha256].keypoints
        row: dict[str, Any] = {"clip_id": record["clip_id"], **{name: record[name] for name in CLIP_COLUMNS}}
        for columns in kept.columns.values():
            row |= columns[sha256]
        rows.append({**row, "keypoints_offset": offset, "keypoints_frames": len(points)})
        keypoints.append(points)
        offset += len(points)
    schema = scores_schema(scores)
    write_table(pd.DataFrame(rows, columns=schema.names), folder / "scores.parquet", schema, versions, CONTRACT)
    every = np.concatenate(keypoints) if keypoints else np.zeros((0, KEYPOINTS, 3), np.float32)
    save_file({"keypoints": every}, folder / "keypoints.safetensors")
