"""What saw a clip: snapshots that list it, checkpoints and runs trained on them, registered versions, benchmark scores.

Snapshots and checkpoints that have been replaced are read out of DVC's cache, which keeps what was committed until
`dvc gc`. What was trained on a snapshot that is nowhere to be found is said to be unknown, never to be clean.
"""

import io
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.generated_videos import SOURCES
from assets.promotion import MODELS
from assets.steps import AssetError
from assets.workspace import Workspace

SNAPSHOT = "training_snapshot"
NOW = "data"  # where something lies: in the workspace, or in DVC's cache


@dataclass(frozen=True)
class Exposure:
    """One thing that saw a clip. `kind` is snapshot, checkpoint, run, version, score, or `unknown ...` for what cannot be
    decided because its snapshot's manifest is gone."""

    kind: str
    name: str
    detail: str


@dataclass(frozen=True)
class _Folder:
    """A committed folder: where it is, and a way to its files."""

    place: str
    files: dict[str, Path]

    def json(self, name: str) -> dict[str, Any]:
        return json.loads(self.files[name].read_bytes())


def who_saw(workspace: Workspace, clip_ids: Collection[str]) -> list[Exposure]:
    """Everything that any of the clips went into, snapshots first.

    Raises:
        AssetError: a committed manifest cannot be read.
    """
    folders = [*_current(workspace), *_cached(workspace)]
    snapshots = _snapshots(folders)
    hit = {digest: clips for digest, clips in snapshots.items() if set(clip_ids) & clips}
    found = [
        Exposure("snapshot", digest[:12], f"{len(set(clip_ids) & clips)} of {len(clips)} clips")
        for digest, clips in hit.items()
    ]
    checkpoints = _checkpoints(folders)
    exposed = _exposed_checkpoints(checkpoints, set(hit))
    found += [
        Exposure("checkpoint", c["name"], f"weights {c['weights_digest'][:12]}, {why}, in {c['place']}")
        for c, why in exposed
    ]
    found += _scores(workspace, {c["name"] for c, _ in exposed if c["place"] == NOW})
    found += _tracked(workspace, set(hit), set(snapshots), {c["weights_digest"] for c, _ in exposed})
    return found


def _current(workspace: Workspace) -> Iterator[_Folder]:
    root = workspace.root / "data"
    for folder in sorted(path for path in root.glob("*") if path.is_dir()):
        yield _Folder(NOW, {path.name: path for path in folder.iterdir() if path.is_file()})


def _cached(workspace: Workspace) -> Iterator[_Folder]:
    """Every folder that DVC's cache remembers."""
    if not (workspace.root / ".dvc").is_dir():
        return
    from dvc.repo import Repo

    with Repo(str(workspace.root)) as repo:
        cache = Path(repo.cache.local.path)
    for listing in sorted(cache.glob("*/*.dir")):
        try:
            entries = json.loads(listing.read_bytes())
            files = {entry["relpath"]: cache / entry["md5"][:2] / entry["md5"][2:] for entry in entries}
        except (OSError, ValueError, KeyError) as error:
            raise AssetError(f"{listing} is no listing of DVC ({error}); `dvc fetch`, or remove it") from error
        yield _Folder("DVC's cache", {name: path for name, path in files.items() if path.is_file()})


def _snapshots(folders: list[_Folder]) -> dict[str, set[str]]:
    """Digest to clip ids."""
    import pandas as pd

    found: dict[str, set[str]] = {}
    for folder in folders:
        if {"snapshot.json", "samples.parquet"} <= set(folder.files):
            samples = pd.read_parquet(io.BytesIO(folder.files["samples.parquet"].read_bytes()), columns=["clip_id"])
            found.setdefault(folder.json("snapshot.json")["digest"], set(samples["clip_id"]))
    return found


def _checkpoints(folders: list[_Folder]) -> list[dict[str, Any]]:
    """Records of checkpoints with their place; those now in `data` first, each set of weights once."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for folder in folders:
        if "record.json" in folder.files:
            record = folder.json("record.json") | {"place": folder.place}
            if "weights_digest" in record and "snapshot_digest" in record:
                found.setdefault((record["name"], record["weights_digest"]), record)
    return list(found.values())


def _exposed_checkpoints(records: list[dict[str, Any]], snapshots: set[str]) -> list[tuple[dict[str, Any], str]]:
    """Those trained on such a snapshot, and those that go on from a checkpoint which was."""
    exposed = {
        id(record): f"trained on snapshot {record['snapshot_digest'][:12]}"
        for record in records
        if record["snapshot_digest"] in snapshots
    }
    grown = True
    while grown:
        grown = False
        # A record names its parent without the weights: any exposed weights of that name are taken to be it.
        names = {record["name"] for record in records if id(record) in exposed}
        for record in records:
            if id(record) not in exposed and record.get("parent") in names:
                exposed[id(record)] = f"goes on from {record['parent']}"
                grown = True
    return [(record, exposed[id(record)]) for record in records if id(record) in exposed]


def _scores(workspace: Workspace, checkpoints: set[str]) -> list[Exposure]:
    import pandas as pd

    path = workspace.data("benchmark_scores") / "scores.parquet"
    if not path.is_file():
        return []
    counts = pd.read_parquet(path, columns=["model"])["model"].value_counts()
    return [
        Exposure("score", f"benchmark_scores {model}", f"{counts[model]} numbers of {asset}")
        for model, asset in SOURCES.items()
        if asset in checkpoints and model in counts
    ]


def _tracked(workspace: Workspace, hit: set[str], known: set[str], weights: set[str]) -> list[Exposure]:
    """Runs and registered versions, by the digests in their tags."""
    from tracking.search import runs_with_snapshots, versions_with_snapshots

    found = []
    for run in runs_with_snapshots(workspace.tracking_uri):
        kind = "run" if run.snapshot_digest in hit else "" if run.snapshot_digest in known else "unknown run"
        if kind:
            detail = f"{run.experiment}, snapshot {run.snapshot_digest[:12]}"
            found.append(Exposure(kind, f"{run.name} {run.run_id}", detail))
    for version in versions_with_snapshots(workspace.tracking_uri, tuple(MODELS)):
        digest = version.tags["snapshot_digest"]
        seen = digest in hit or version.tags.get("weights_digest") in weights
        kind = "version" if seen else "" if digest in known else "unknown version"
        if kind:
            aliases = "".join(f", @{alias}" for alias in version.aliases)
            found.append(Exposure(kind, f"{version.name} {version.version}", f"snapshot {digest[:12]}{aliases}"))
    return found
