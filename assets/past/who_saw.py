"""What saw a clip: everything that lineage leads to from it.

What was trained on a snapshot that is nowhere to be found is said to be unknown, never to be clean.
"""

from collections.abc import Collection
from dataclasses import dataclass

import networkx as nx

from assets.core.workspace import Workspace
from assets.past.lineage import Lineage, read_lineage

ORDER = ("snapshot", "checkpoint", "score", "run", "version")


@dataclass(frozen=True)
class Exposure:
    """One thing that saw a clip. `kind` is snapshot, checkpoint, run, version, score, or `unknown ...` for what cannot be
    decided because its snapshot's manifest is gone."""

    kind: str
    name: str
    detail: str


def who_saw(workspace: Workspace, clip_ids: Collection[str]) -> list[Exposure]:
    """Everything that any of the clips went into, snapshots first.

    Raises:
        AssetError: a committed manifest cannot be read.
    """
    lineage = read_lineage(workspace)
    seen = _after(lineage, lineage.add_clips(clip_ids))
    doubtful = _after(lineage, [key for key in lineage.keys("snapshot") if not lineage.node(key).known]) - seen
    found = []
    for kind in ORDER:
        keys = lineage.keys(kind)
        found += [_exposure(lineage, key, kind, seen) for key in keys if key in seen]
        found += [_exposure(lineage, key, f"unknown {kind}", doubtful) for key in keys if key in doubtful]
    return found


def _after(lineage: Lineage, keys: Collection[str]) -> set[str]:
    return {below for key in keys for below in nx.descendants(lineage.graph, key)}


def _exposure(lineage: Lineage, key: str, kind: str, seen: set[str]) -> Exposure:
    node = lineage.node(key)
    facts = node.facts
    if node.kind == "snapshot":
        hit = {clip for shard in lineage.graph.predecessors(key) for clip in lineage.graph.predecessors(shard)}
        return Exposure(
            kind, node.name, f"{len(hit)} of {sum(map(len, lineage.clips_of(facts['digest']).values()))} clips"
        )
    if node.kind == "checkpoint":
        return Exposure(
            kind, node.name, f"weights {facts['weights_digest'][:12]}, {_why(lineage, key, seen)}, in {facts['place']}"
        )
    if node.kind == "score":
        return Exposure(kind, node.name, f"{facts['numbers']} numbers of {facts['asset']}, in {facts['place']}")
    if node.kind == "run":
        return Exposure(
            kind, f"{node.name} {facts['run_id']}", f"{facts['experiment']}, snapshot {facts['snapshot_digest'][:12]}"
        )
    aliases = "".join(f", @{alias}" for alias in facts["aliases"])
    return Exposure(kind, node.name, f"snapshot {facts['snapshot_digest'][:12]}{aliases}")


def _why(lineage: Lineage, key: str, seen: set[str]) -> str:
    """How a checkpoint came to it: by its own snapshot rather than by its parents."""
    above = [one for one in lineage.graph.predecessors(key) if one in seen or not lineage.node(one).known]
    above.sort(key=lambda one: lineage.node(one).kind != "snapshot")
    return lineage.graph.edges[above[0], key]["how"]
