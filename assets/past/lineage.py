"""The one graph of what was made from what: clips, shards, snapshots, runs, checkpoints, scores, registered versions.

Read from what stands on disk and in MLflow: snapshot manifests, checkpoint records, score tables, dvc.lock, run and version
tags. A link that no record proves, because only a name is known, is kept and marked as uncertain: a question such as "what
saw this clip" must rather name too much than too little.
"""

import io
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from assets.core.catalogue import STEPS
from assets.core.dvc_cache import (
    SNAPSHOT_FILES,
    CommittedFolder,
    cached_folders,
    current_folders,
)
from assets.core.dvc_lock import LockedStage
from assets.core.lock_history import locked_stages
from assets.core.names import MODELS, SOURCES
from assets.core.workspace import Workspace
from media import sha256_of_file
from media.records import ProductRecord, SnapshotRecord

SNAPSHOT, SCORES, VIDEOS = "training_snapshot", "benchmark_scores", "generated_videos"
KINDS = ("clip", "shard", "snapshot", "run", "checkpoint", "score", "version")


@dataclass(frozen=True)
class Node:
    """One thing that was made. `known` is false for a snapshot that only others speak of: its manifest is gone."""

    kind: str
    name: str
    facts: dict[str, Any] = field(default_factory=dict)
    known: bool = True


@dataclass
class Lineage:
    """`graph` leads from what was read to what was made of it; its nodes carry `node`, its links `how` and `certain`.

    Clips are added on demand (`add_clips`), because a snapshot may hold millions: `samples` has each snapshot's table, `frozen`
    the folder that it lies in.
    """

    graph: nx.DiGraph = field(default_factory=nx.DiGraph)
    samples: dict[str, Path] = field(default_factory=dict)
    frozen: dict[str, CommittedFolder] = field(default_factory=dict)

    def node(self, key: str) -> Node:
        """The thing behind a key."""
        return self.graph.nodes[key]["node"]

    def keys(self, kind: str) -> list[str]:
        """All of a kind, in the order in which they were found."""
        return [key for key in self.graph if self.node(key).kind == kind]

    def add(self, key: str, node: Node) -> None:
        """Add a thing once; what was known first stays."""
        if key not in self.graph or (node.known and not self.node(key).known):
            self.graph.add_node(key, node=node)

    def link(self, source: str, target: str, how: str, certain: bool = True) -> None:
        """Say that `target` was made from `source`. A guess never replaces what is certain, and never closes a circle."""
        if not certain and (self.graph.has_edge(source, target) or nx.has_path(self.graph, target, source)):
            return
        self.graph.add_edge(source, target, how=how, certain=certain)

    def add_clips(self, clip_ids: Collection[str]) -> list[str]:
        """Add these clips and link them to every shard of a snapshot that lists them; returns their keys."""
        for clip_id in clip_ids:
            self.add(f"clip:{clip_id}", Node("clip", clip_id))
        for digest, path in self.samples.items():
            for clip_id, shard in _listed(path, clip_ids):
                key = _shard_key(digest, shard)
                self.add(key, Node("shard", shard, {"snapshot": digest}))
                self.link(key, f"snapshot:{digest}", "frozen in")
                self.link(f"clip:{clip_id}", key, "listed by the snapshot")
        return [f"clip:{clip_id}" for clip_id in clip_ids]

    def clips_of(self, digest: str) -> dict[str, list[str]]:
        """Shard to the clips that a snapshot lists of it."""
        table = pq.read_table(self.samples[digest], columns=["shard", "clip_id"]).to_pandas().drop_duplicates()
        return {str(shard): sorted(rows["clip_id"]) for shard, rows in table.groupby("shard")}


def read_lineage(workspace: Workspace) -> Lineage:
    """Everything but the clips.

    Raises:
        AssetError: a committed folder or dvc.lock cannot be read.
    """
    lineage = Lineage()
    folders = [*current_folders(workspace), *cached_folders(workspace)]
    stages = list(locked_stages(workspace))
    _add_snapshots(lineage, folders)
    checkpoints = _add_checkpoints(lineage, folders)
    locked = _LockedCheckpoints(stages, checkpoints)
    _link_parents(lineage, checkpoints, locked)
    _add_scores(lineage, folders, checkpoints, locked)
    _add_tracked(lineage, workspace)
    return lineage


def _listed(path: Path, clip_ids: Collection[str]) -> Iterator[tuple[str, str]]:
    samples = ds.dataset(path, format="parquet")
    wanted = ds.field("clip_id").isin(pa.array(list(clip_ids), samples.schema.field("clip_id").type))
    rows = samples.to_table(columns=["clip_id", "shard"], filter=wanted).to_pylist()
    yield from sorted({(row["clip_id"], row["shard"]) for row in rows})


def _shard_key(digest: str, shard: str) -> str:
    return f"shard:{shard}@{digest}"


def _add_snapshots(lineage: Lineage, folders: Iterable[CommittedFolder]) -> None:
    for folder in folders:
        if not set(folder.files) >= SNAPSHOT_FILES:
            continue
        snapshot = folder.record(SnapshotRecord)
        digest, key = snapshot.digest, f"snapshot:{snapshot.digest}"
        if digest in lineage.samples:
            continue
        lineage.samples[digest], lineage.frozen[digest] = folder.files["samples.parquet"], folder
        facts = {
            "digest": digest,
            "counts": snapshot.counts,
            "excluded": snapshot.excluded,
            "place": folder.place,
        }
        lineage.add(key, Node("snapshot", digest[:12], facts))
        for shard in snapshot.shards:
            lineage.add(_shard_key(digest, shard["name"]), Node("shard", shard["name"], {**shard, "snapshot": digest}))
            lineage.link(_shard_key(digest, shard["name"]), key, "frozen in")


def _snapshot(lineage: Lineage, digest: str) -> str:
    """The snapshot's key; one whose manifest nobody has is added as unknown."""
    key = f"snapshot:{digest}"
    lineage.add(key, Node("snapshot", digest[:12], {"digest": digest}, known=False))
    return key


@dataclass(frozen=True)
class _Checkpoint:
    key: str
    name: str
    record: Mapping[str, Any]
    place: str
    listings: frozenset[str]


def _add_checkpoints(lineage: Lineage, folders: Iterable[CommittedFolder]) -> list[_Checkpoint]:
    """Each set of weights once, those now in `data` first."""
    found: dict[str, _Checkpoint] = {}
    for folder in folders:
        if ProductRecord.FILE not in folder.files:
            continue
        record = folder.record(ProductRecord).values
        if not {"name", "weights_digest", "snapshot_digest"} <= set(record):
            continue
        key = f"checkpoint:{record['name']}:{record['weights_digest']}"
        earlier = found.get(key, _Checkpoint(key, record["name"], record, folder.place, frozenset()))
        found[key] = _Checkpoint(key, earlier.name, earlier.record, earlier.place, earlier.listings | {folder.listing})
    for one in found.values():
        shown = {
            name: one.record[name]
            for name in ("weights_digest", "snapshot_digest", "mlflow_run_id")
            if one.record.get(name)
        }
        facts = {**shown, "place": one.place, "listings": sorted(filter(None, one.listings))}
        lineage.add(one.key, Node("checkpoint", one.name, facts))
        digest = one.record["snapshot_digest"]
        lineage.link(_snapshot(lineage, digest), one.key, f"trained on snapshot {digest[:12]}")
    return list(found.values())


class _LockedCheckpoints:
    """Which checkpoint a committed folder was made from, as dvc.lock says it."""

    def __init__(self, stages: list[LockedStage], checkpoints: list[_Checkpoint]):
        self._by_listing = {(c.name, listing): c for c in checkpoints for listing in c.listings if listing}
        self._read: dict[tuple[str, str], list[dict[str, str]]] = {}
        for stage in stages:
            self._read.setdefault((stage.name, stage.made), []).append(stage.read)

    def parents(self, asset: str, listing: str, parent: str) -> set[str]:
        """Keys of the checkpoints of asset `parent` that the folder `listing` of `asset` was made from."""
        reads = self._read.get((asset, listing), [])
        found = [self._by_listing.get((parent, read.get(parent, ""))) for read in reads]
        return {one.key for one in found if one is not None}

    def scored(self, listing: str, parent: str) -> set[str]:
        """Keys of the checkpoints whose videos a committed score table measured."""
        videos = {read.get(VIDEOS, "") for read in self._read.get((SCORES, listing), [])}
        return {key for one in videos for key in self.parents(VIDEOS, one, parent)}


def _link_parents(lineage: Lineage, checkpoints: list[_Checkpoint], locked: _LockedCheckpoints) -> None:
    for one in checkpoints:
        for parent, how in _parent_names(one).items():
            proven = {key for listing in one.listings for key in locked.parents(one.name, listing, parent)}
            # Weights that were taken over out of the registry name whose they are.
            named = f"checkpoint:{parent}:{one.record.get('parent_weights')}"
            proven |= {named} & lineage.graph.nodes if parent == one.record.get("parent") else set()
            # A record names its parent without the weights: without dvc.lock any weights of that name may be it.
            guessed = {other.key for other in checkpoints if other.name == parent and not proven}
            for key in sorted(proven | guessed):
                lineage.link(key, one.key, f"{how} {parent}", certain=key in proven)


def _parent_names(one: _Checkpoint) -> dict[str, str]:
    above = STEPS[one.name].upstream if one.name in STEPS else ()
    read = {name: "discriminator starts from" for name in above if name != SNAPSHOT}
    parent = one.record.get("parent")
    return {**read, parent: "goes on from"} if parent else read


def _add_scores(
    lineage: Lineage, folders: Iterable[CommittedFolder], checkpoints: list[_Checkpoint], locked: _LockedCheckpoints
) -> None:
    """One node per measured model and score table."""
    for content, tables in _score_tables(folders).items():
        place = tables[0].place
        for model, rows in _rows_of_models(tables[0]).items():
            key, asset = f"score:{content}:{model}", SOURCES[model]
            facts = {"numbers": len(rows), "asset": asset, "place": place, "table": content}
            lineage.add(key, Node("score", f"{SCORES} {model}", facts | _numbers(rows)))
            proven = {parent for table in tables for parent in locked.scored(table.listing, asset)}
            guessed = {c.key for c in checkpoints if c.name == asset and c.place == place}
            for parent in sorted(proven or guessed):
                lineage.link(parent, key, "measured on the benchmark", certain=parent in proven)


def _score_tables(folders: Iterable[CommittedFolder]) -> dict[str, list[CommittedFolder]]:
    """Content of a benchmark's table to the folders that hold it."""
    found: dict[str, list[CommittedFolder]] = {}
    for folder in folders:
        path = folder.files.get("scores.parquet")
        if path is not None and "model" in pq.read_schema(path).names:
            found.setdefault(sha256_of_file(path), []).append(folder)
    return found


def _rows_of_models(folder: CommittedFolder) -> dict[str, pd.DataFrame]:
    table = pd.read_parquet(io.BytesIO(folder.files["scores.parquet"].read_bytes()))
    return {str(model): rows for model, rows in table[table["model"].isin(list(SOURCES))].groupby("model")}


def _numbers(rows: pd.DataFrame) -> dict[str, Any]:
    columns = {"mode", "metric", "value"}
    if not columns <= set(rows):
        return {}
    return {"values": {f"{row.mode}.{row.metric}": float(row.value) for row in rows.itertuples()}}


def _add_tracked(lineage: Lineage, workspace: Workspace) -> None:
    """Runs and registered versions, by the digests in their tags."""
    made = {lineage.node(key).facts.get("mlflow_run_id"): key for key in lineage.keys("checkpoint")}
    for run in workspace.tracker.runs_with_snapshots():
        key = f"run:{run.run_id}"
        shown = {"experiment": run.experiment, "run_id": run.run_id, "snapshot_digest": run.snapshot_digest}
        lineage.add(key, Node("run", run.name, shown))
        lineage.link(
            _snapshot(lineage, run.snapshot_digest), key, f"{run.experiment} run on snapshot {run.snapshot_digest[:12]}"
        )
        if run.run_id in made:
            lineage.link(key, made[run.run_id], "made by run")
    for version in workspace.registry.versions_with_snapshots(tuple(MODELS)):
        key = f"version:{version.name}:{version.version}"
        facts: dict[str, Any] = {**version.tags, "aliases": list(version.aliases), "run_id": version.run_id}
        lineage.add(key, Node("version", f"{version.name} {version.version}", facts))
        digest = version.origin.snapshot_digest
        lineage.link(_snapshot(lineage, digest), key, f"tagged with snapshot {digest[:12]}")
        registered = f"checkpoint:{MODELS[version.name]}:{version.origin.weights_digest}"
        if registered in lineage.graph:
            lineage.link(registered, key, "registered as")
