"""The score table of a shard: one row per clip, one column per score; no clip is ever dropped."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from curation.intake.archive import read_clip
from curation.people.keypoints import KEYPOINTS, Detected, KeypointDetector
from curation.scores.cache import ColumnCache, KeptKeypoints, KeypointKeeper
from curation.scores.clip import score_material
from curation.scores.clip_media import Bench, Material
from curation.scores.contract import Score, Values, digest
from curation.scores.registry import columns_of, switched_on
from curation.scores.sound.loudness import clipping_of
from curation.scores.unfinished import UnfinishedScores
from curation.tables.contracts import SCORES as CONTRACT
from curation.tables.failures import Failure, failure_of, failure_rows, lost_clip, refuse_if_all_fail_alike
from curation.tables.quarantine import split_by_contract, write_quarantine
from curation.tables.safetensors_append import GrowingTensors
from curation.tables.storage import read_table, write_table
from curation.workers import OverClips, Progress, map_over_clips
from media import Span, whole_directory
from profiles import Profile
from profiles.scores import ScoresConfig

# Facts of the clip itself that predicates may read; with them here a query over all shards needs no other table.
CLIP_COLUMNS = {
    "width": "float", "height": "float", "fps": "float", "seconds": "float", "frames": "float", "near_duplicate": "bool",
    "interlaced": "bool", "audio_filled_seconds": "float",
}  # fmt: skip
# Of a shard that an older version ingested and whose files have left the inbox since.
NOT_LOOKED_AT = {"interlaced": False, "audio_filled_seconds": 0.0}
ARROW = {"float": pa.float64(), "bool": pa.bool_(), "text": pa.string()}
TABLE = "scores.parquet"
KEYPOINTS_KEY = "keypoints"
UNFINISHED = "unfinished"  # folder of the cache


def clip_facts(record: dict[str, Any]) -> dict[str, Any]:
    """`CLIP_COLUMNS` of a clip's row."""
    return {name: record.get(name, NOT_LOOKED_AT.get(name)) for name in CLIP_COLUMNS}


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
    each score was computed now, the others being kept from before; `failed` are clips that could not be scored."""

    path: Path
    clips: int
    seconds: float
    versions: dict[str, Any]
    computed: dict[str, int]
    failed: tuple[Failure, ...] = ()


def score_shard(
    shard_dir: Path,
    destination: Path,
    detector: KeypointDetector,
    profile: Profile,
    progress: Progress | None = None,
    cache: Path | None = None,
    over_clips: OverClips = map_over_clips,
) -> ScoreReport:
    """Write `destination/` scores.parquet, quarantine.parquet and keypoints.safetensors. A clip is decoded at most once, and
    only for scores that were not computed before; its keypoints are written before the next clip's are taken. A clip on which a
    score fails, however it does, is quarantined with the failure as its reason, and the others go on. What a killed scoring had done
    is not done again.

    Args:
        shard_dir: the raw shard.
        destination: the shard's scores.
        detector: finds keypoints.
        profile: bucket and scores.
        progress: called with (done, total, note).
        cache: where columns are kept under their keys; None keeps nothing.
        over_clips: who scores: processes of this machine, or actors of a cluster.

    Raises:
        CurationError: the shard is incomplete, weights are missing, or all of many clips fail alike.
        omnihuman.placement.NoSuchDevice: `curation.device` is not there.
    """
    started = time.monotonic()
    scores = profile.curation.scores
    clips = read_table(shard_dir / "clips.parquet")
    bench = Bench(
        profile.video,
        detector,
        tuple(profile.transformer.pose_keypoints),
        scores.native_frames,
        clipping_of(scores),
        _devices(profile.curation.device),
    )
    keys = {score.name: score.key(scores, bench) for score in switched_on(scores)}
    keys[KEYPOINTS_KEY] = f"keypoint-rows-{digest(bench.identity('keypoints'))}"
    store = ColumnCache(cache, shard_dir.name)
    columns = {name: store.read(key) for name, key in keys.items() if name != KEYPOINTS_KEY}
    places = store.keypoints(keys[KEYPOINTS_KEY])
    unfinished = UnfinishedScores(None if cache is None else cache / UNFINISHED / shard_dir.name)
    restored = unfinished.restore(keys, keys[KEYPOINTS_KEY], columns, places)
    on = switched_on(scores)
    jobs = [_job(record, on, columns, places) for record in clips.to_dict("records")]
    work, todo = _Work(shard_dir, bench, scores), [job for job in jobs if job.todo]
    results = over_clips(_score, work, todo, progress, "scoring clips", lost=_lost)
    versions = score_versions(bench, scores, keys)
    new_keypoints = KEYPOINTS_KEY in restored or any(job.place is None for job in jobs)
    keeping = store.keeping_keypoints(keys[KEYPOINTS_KEY]) if new_keypoints else nullcontext()
    with whole_directory(destination) as folder, keeping as keeper, _Writer.into(folder, keeper) as writer:
        for job in jobs:
            result = next(results) if job.todo else _Result({}, None)
            if job.todo and isinstance(result, _Result):
                done = {name: (keys[name], job.keys[name], values) for name, values in result.values.items()}
                unfinished.add(job.record["sha256"], done, keys[KEYPOINTS_KEY], result.detected)
            writer.add(job, columns, result)
        next(results, None)  # none is left; lets the last one be reported and the processes end
        refuse_if_all_fail_alike(writer.failed, len(jobs), shard_dir.name)
        writer.close(clips, scores_schema(scores), versions)
    scored = [job for job in jobs if job.record["clip_id"] not in writer.failed]
    computed = {name: sum(name in job.missing for job in scored) for name in columns}
    computed[KEYPOINTS_KEY] = sum(job.place is None for job in scored)
    for name in (name for name in columns if computed[name] or name in restored):
        store.write(keys[name], columns[name])
    unfinished.forget()
    failed = tuple(writer.failed.values())
    return ScoreReport(destination, len(scored), time.monotonic() - started, versions, computed, failed)


def _devices(asked: str) -> tuple[str, ...]:
    """Those of `curation.device`. Of the processor, which is the default, nobody need be asked who knows torch and diffusers."""
    if asked == "cpu":
        return ("cpu",)
    from omnihuman.placement import sharing_devices

    return tuple(sharing_devices(asked, None, "curation.device"))


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
    """One clip: its row, what each score's columns are kept under, the scores that it lacks, and where its keypoints stand if
    they were found before."""

    record: dict[str, Any]
    keys: dict[str, str]
    missing: tuple[str, ...]
    place: KeptKeypoints | None

    @property
    def todo(self) -> bool:
        return bool(self.missing) or self.place is None


@dataclass(frozen=True)
class _Result:
    """Columns by score; keypoints where they were found now."""

    values: dict[str, Values]
    detected: Detected | None


def _job(
    record: dict[str, Any], on: Sequence[Score], columns: dict[str, dict[str, Values]], places: dict[str, KeptKeypoints]
) -> _Job:
    keys = {score.name: score.clip_key(record) for score in on}
    missing = tuple(name for name, key in keys.items() if key not in columns[name])
    return _Job(record, keys, missing, places.get(record["sha256"]))


def _score(work: _Work, job: _Job) -> _Result | Failure:
    clip = job.record["clip_id"]

    def read() -> bytes | Span:
        return read_clip(work.shard_dir, clip)

    known = job.place.read() if job.place is not None else None
    material = Material(work.bench, job.record, read, known)
    wanted: list[Score] = [score for score in switched_on(work.scores) if score.name in job.missing]
    values: dict[str, Values] = {}
    doing = "reading its row"
    try:
        for score in wanted:
            doing = f"the score {score.name}"
            values[score.name] = score_material(material, [score], work.scores)
        doing = "finding keypoints"
        return _Result(values, material.detected if known is None else None)
    except Exception as error:
        return failure_of(clip, doing, error)


def _lost(job: _Job) -> Failure:
    return lost_clip(job.record["clip_id"], "scoring")


class _Writer:
    """Writes the keypoints of one clip after the other and lets go of them; the table's rows, small, come at the end."""

    def __init__(self, folder: Path, points: GrowingTensors, keeper: KeypointKeeper | None):
        self._folder, self._points, self._keeper = folder, points, keeper
        self._rows: list[dict[str, Any]] = []
        self.failed: dict[str, Failure] = {}

    @classmethod
    @contextmanager
    def into(cls, folder: Path, keeper: KeypointKeeper | None) -> Iterator["_Writer"]:
        """Into the product's folder, and into the cache by `keeper` where some clip's keypoints are new to it."""
        with GrowingTensors(folder / "keypoints.safetensors", {"keypoints": ((KEYPOINTS, 3), "float32")}) as points:
            yield cls(folder, points, keeper)

    def add(self, job: _Job, columns: dict[str, dict[str, Values]], result: _Result | Failure) -> None:
        """One clip; its new columns go into `columns`."""
        if isinstance(result, Failure):
            self.failed[result.clip_id] = result
            return
        detected = result.detected
        if detected is None:
            assert job.place is not None
            detected = job.place.read()
        row: dict[str, Any] = {"clip_id": job.record["clip_id"], **clip_facts(job.record)}
        for name, kept in columns.items():
            if name in result.values:
                kept[job.keys[name]] = result.values[name]
            row |= kept[job.keys[name]]
        offset = self._points.append("keypoints", detected.keypoints)
        self._rows.append({**row, "keypoints_offset": offset, "keypoints_frames": len(detected.keypoints)})
        if self._keeper is not None:
            self._keeper.add(job.record["sha256"], detected)

    def close(self, clips: pd.DataFrame, schema: pa.Schema, versions: dict[str, Any]) -> None:
        """Rows that break the contract go to quarantine, where nothing reads their keypoints, and so do clips that failed."""
        table, refused = split_by_contract(pd.DataFrame(self._rows, columns=schema.names), CONTRACT, clips, TABLE)
        write_table(table, self._folder / TABLE, schema, versions, CONTRACT)
        failed = failure_rows(list(self.failed.values()), clips)
        write_quarantine(self._folder, pd.concat([refused, failed], ignore_index=True))
        self._points.close()
