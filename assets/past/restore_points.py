"""What `omnihuman restore` goes back to: each snapshot, and each scored student of it, keeps its own dvc.lock.

`snapshots/<snapshot>/` is a snapshot as it was frozen, `snapshots/<snapshot>/<weights>-<scores>/` one student's scores with all
that they were made from. Both hold `dvc.lock`, `stages.yaml`, `params.yaml`, `profile.yaml` and `point.json`, the latter `start.json`
too: small text that belongs under version control. The bytes are in DVC's cache and remote, by the hashes in the lock.
"""

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from assets.core.catalogue import FLOW, STEPS
from assets.core.dvc_cache import CommittedFolder, cache_folder, committed_folder
from assets.core.dvc_lock import DvcLock, LockedStage
from assets.core.dvc_stages import params_text, stages_text
from assets.core.names import LOCK, TEACHER
from assets.core.names import STUDENT as STUDENT_MODEL
from assets.core.steps import AssetError
from assets.core.workspace import DIGITS, START, Workspace
from media import write_atomically
from media.records import ProductRecord, SnapshotRecord
from tracking.code_version import git_commit
from tracking.model_address import ModelAddress, ModelAddressError, is_address

MANIFEST = "point.json"
STAGES = "stages.yaml"  # what was dvc.yaml: under its own name DVC would take every past state for stages of today
SNAPSHOT, STUDENT, SCORES, REGISTERED = "training_snapshot", "distilled_student", "benchmark_scores", "registered_model"
NOT_SCORED: dict[str, Any] = {"weights": "", "scores": "", "numbers": {}, "versions": {}}
CURATION = ("raw_clips", "clip_scores", "filtered_subsets", "condition_features", SNAPSHOT)


@dataclass(frozen=True)
class RestorePoint:
    """One state that can be brought back.

    Attributes:
        folder: where its files are kept.
        when: of the lock (UTC).
        snapshot: digest of the training snapshot.
        weights: digest of the student's weights, empty where none was scored.
        scores: sha256 of the score table, likewise.
        numbers: the student's scores, by `mode.metric`.
        versions: registered model to version, where it was registered.
        code: commit of this project, with `-dirty` where tracked files had changes.
        outputs: asset to the hash of its folder.
    """

    folder: Path
    when: str
    snapshot: str
    weights: str
    scores: str
    numbers: dict[str, float]
    versions: dict[str, int]
    code: str
    outputs: dict[str, str]

    @property
    def name(self) -> str:
        """Short, and what `find_restore_point` takes."""
        return "-".join(filter(None, (self.snapshot[:DIGITS], self.weights[:DIGITS], self.scores[:DIGITS])))

    def __str__(self) -> str:
        versions = "".join(f", {model} {version}" for model, version in self.versions.items())
        what = (
            f"student {self.weights[:DIGITS]}, scores {self.scores[:DIGITS]}{versions}" if self.weights else "as frozen"
        )
        return f"snapshot {self.snapshot[:DIGITS]}, {what}, {self.when}, code {self.code[:DIGITS]}"


def keep_restore_point(workspace: Workspace) -> RestorePoint | None:
    """Keep what dvc.lock says now, as far as it fits together; None while it holds no whole snapshot.

    Stages that were made from something else than the lock's other stages (a new shard came in while a student was
    trained) are left out; the shards are then those that the snapshot was frozen with.

    Raises:
        AssetError: dvc.lock or DVC's cache cannot be read.
    """
    if not (workspace.root / LOCK).is_file() or not (workspace.root / ".dvc").is_dir():
        return None
    lock, cache = DvcLock.read(workspace.root / LOCK), cache_folder(workspace)
    snapshot = _content(cache, lock.made(SNAPSHOT), SnapshotRecord.FILE)
    if snapshot is None:
        return None
    digest = SnapshotRecord.parse(snapshot, f"{SNAPSHOT} in DVC's cache").digest
    place = workspace.state(digest)
    if (place / LOCK).is_file():
        frozen = DvcLock.read(place / LOCK)
        if frozen.made(SNAPSHOT) == lock.made(SNAPSHOT):
            lock = lock.overlaid(frozen.only(CURATION))
    lock = fitting(lock)
    if SNAPSHOT not in lock.stages:
        return None
    point = _write(workspace, place, lock.only(CURATION), {"snapshot": digest, **NOT_SCORED})
    scored = _scored(cache, lock)
    if scored is None:  # half a training is no state to go back to
        return point
    return _write(
        workspace,
        place / f"{scored['weights'][:DIGITS]}-{scored['scores'][:DIGITS]}",
        lock,
        {"snapshot": digest, **scored},
    )


def fitting(lock: DvcLock) -> DvcLock:
    """Leave out the stages whose inputs are not what the lock's other stages made. What a stage read is what its lock says: earlier versions'
    stages read less than today's."""
    kept: dict[str, LockedStage] = {}
    for step in FLOW:
        stage = lock.stages.get(step.name)
        if stage is not None and all(
            name in kept and made == kept[name].made for name, made in stage.read.items() if name in STEPS
        ):
            kept[step.name] = stage
    return DvcLock(kept)


def restore_points(workspace: Workspace) -> list[RestorePoint]:
    """All of them, oldest first.

    Raises:
        AssetError: a manifest that cannot be read.
    """
    found = [_read(path) for path in workspace.states.glob(f"**/{MANIFEST}")]
    return sorted(found, key=lambda point: (point.when, point.name))


def find_restore_point(workspace: Workspace, name: str) -> RestorePoint:
    """The state that a person means.

    Args:
        workspace: whose `snapshots/` is looked into.
        name: first digits of a snapshot's digest, of a student's weights, or of a score table's sha256; the whole name of a
            point; or a registered version as `lineage` takes it (`3`, `NAME:3`, `champion`, `NAME@ALIAS`). Of several states
            of one snapshot the last scored one is meant.

    Raises:
        AssetError: there is no such state, or the digits fit several snapshots.
    """
    points = restore_points(workspace)
    found = _by_version(workspace, points, name) if is_address(name) else _by_digest(points, name)
    if not found:
        listed = "".join(f"\n  {point.name}: {point}" for point in points) or " none yet: `omnihuman demo` makes them"
        raise AssetError(f"nothing under {workspace.states} is named {name!r}; there is:{listed}")
    if len({point.snapshot for point in found}) > 1:
        raise AssetError(f"{name!r} fits {', '.join(point.name for point in found)}; give more digits")
    return max(found, key=lambda point: (point.weights != "", point.when))


def _by_digest(points: list[RestorePoint], name: str) -> list[RestorePoint]:
    if len(name) < 4:
        return []
    return [
        p
        for p in points
        if p.name == name or any(digest.startswith(name) for digest in (p.snapshot, p.weights, p.scores) if digest)
    ]


def _by_version(workspace: Workspace, points: list[RestorePoint], name: str) -> list[RestorePoint]:

    try:
        address = ModelAddress.parse(name, STUDENT_MODEL)
    except ModelAddressError as error:
        raise AssetError(str(error)) from error
    number = address.version
    if number is None:
        version = workspace.registry.at_alias(address.name, address.alias) if workspace.tracker.exists() else None
        if version is None:
            raise AssetError(f"{address.name} has no alias {address.alias!r} in {workspace.tracker}")
        number = version.version
    if address.name not in (STUDENT_MODEL, TEACHER):
        raise AssetError(f"no registered model {address.name}; there are {STUDENT_MODEL} and {TEACHER}")
    return [point for point in points if point.versions.get(address.name) == number]


def _scored(cache: Path, lock: DvcLock) -> dict[str, Any] | None:
    """What the scored student of a lock is, None where none was scored."""
    record, table = (
        _content(cache, lock.made(STUDENT), ProductRecord.FILE),
        _content(cache, lock.made(SCORES), "scores.parquet"),
    )
    registered = _content(cache, lock.made(REGISTERED), "model_version.json")
    if record is None or table is None:
        return None
    return {
        "weights": ProductRecord.parse(record, f"{STUDENT} in DVC's cache").weights_digest,
        "scores": hashlib.sha256(table).hexdigest(),
        "numbers": _numbers(table),
        "versions": {model: entry["version"] for model, entry in json.loads(registered or "{}").items()},
    }


def _numbers(table: bytes) -> dict[str, float]:
    scores = pd.read_parquet(io.BytesIO(table))
    own = scores[(scores["model"] == STUDENT) & scores["value"].notna()]
    return {f"{row.mode}.{row.metric}": float(row.value) for row in own.itertuples()}


def _content(cache: Path, listing: str, name: str) -> bytes | None:
    """One file of what a stage made, as DVC's cache has it."""
    folder: CommittedFolder | None = committed_folder(cache, listing)
    path = None if folder is None else folder.files.get(name)
    return path.read_bytes() if path is not None and path.is_file() else None


def _write(workspace: Workspace, place: Path, lock: DvcLock, facts: dict[str, Any]) -> RestorePoint:
    text = lock.text()
    if (place / LOCK).is_file() and (place / LOCK).read_text() == text:
        return _read(place / MANIFEST)
    manifest = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"), **facts, "code": git_commit(),
        "outputs": lock.outputs(),
    }  # fmt: skip
    files = {
        "params.yaml": params_text(workspace.profile),
        "profile.yaml": yaml.safe_dump(
            workspace.profile.model_dump(mode="json"), sort_keys=False, width=120, allow_unicode=True
        ),
        STAGES: stages_text(),
        MANIFEST: json.dumps(manifest, indent=1),
        **_start(workspace, lock),
        LOCK: text,  # last: a point without it is not there yet
    }
    for name, content in files.items():
        write_atomically(place / name, content.encode())
    return _read(place / MANIFEST)


def _start(workspace: Workspace, lock: DvcLock) -> dict[str, str]:
    """Where its stages began, unless another start was chosen since; no part of a snapshot that nothing was trained on."""
    read = {path: content for stage in lock.stages.values() for path, content in stage.deps.items()}
    if (
        not workspace.start.is_file()
        or read.get(START) != hashlib.md5(workspace.start.read_bytes(), usedforsecurity=False).hexdigest()
    ):
        return {}
    return {START: workspace.start.read_text()}


def _read(manifest: Path) -> RestorePoint:
    try:
        return RestorePoint(manifest.parent, **json.loads(manifest.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise AssetError(
            f"{manifest} cannot be read ({error}); restore it from version control, or remove {manifest.parent}"
        ) from error
