"""`omnihuman lineage score|model|clip|video ID`: what a thing was made from and what it went into, as text and JSON."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import networkx as nx

from assets.core.dvc_cache import NOW
from assets.core.names import MODELS, STUDENT
from assets.core.workspace import Workspace
from assets.kinds.signed_snapshots import verify_snapshot
from assets.past.lineage import KINDS, Lineage, Node, read_lineage
from curation.errors import CurationError
from curation.snapshot.withdrawals import find_clips, read_tombstones, withdrawn
from media import MediaError
from media.user_error import UserError
from orchestration.past.withdrawing import all_clips
from provenance.comment import read_comment
from provenance.outcomes import NO_MARK
from provenance.verify import verify_files
from tracking.model_address import CHAMPION, ModelAddress, ModelAddressError

CLIPS_SHOWN = 3
CLIP_COLUMNS = ("source_name", "source", "licence", "identity", "consent")
DIGITS = 8  # of a digest that names weights


class LineageError(UserError):
    """Nothing of that name, or several; the message says what can be asked for."""


@dataclass(frozen=True)
class View:
    """One thing (`asked`) with everything that it was made from and that was made from it; `number` is the one number of a
    score that was asked for, `notes` what a person should know of the answer."""

    lineage: Lineage
    asked: str
    number: str = ""
    notes: tuple[str, ...] = ()

    @property
    def sources(self) -> set[str]:
        """Keys of what it was made from."""
        return nx.ancestors(self.lineage.graph, self.asked)

    @property
    def products(self) -> set[str]:
        """Keys of what was made from it."""
        return nx.descendants(self.lineage.graph, self.asked)

    @property
    def graph(self) -> nx.DiGraph:
        """It, its sources and its products."""
        return self.lineage.graph.subgraph({self.asked, *self.sources, *self.products})


def look_up(workspace: Workspace, what: str, name: str) -> View:
    """Find a thing by the name that people have for it.

    Args:
        workspace: whose data, DVC cache and MLflow store are read.
        what: score, model, clip or video.
        name: of a score: a model of the benchmark, `distilled_student` by default. Of a model: a version (of the student),
            `NAME:VERSION`, an alias, `NAME@ALIAS`, an asset that holds weights, or the first digits of a weights digest;
            the champion by default. Of a clip: its id or at least eight of its first digits. Of a video: the file.

    Raises:
        LineageError: there is no such thing, or more than one.
        provenance.signed_list.TamperedFiles: of a video, a snapshot that its model saw is not what was signed.
    """
    lineage = read_lineage(workspace)
    if what == "clip":
        return View(lineage, _clip(lineage, workspace, name))
    if what == "model":
        return View(lineage, _model(lineage, name or CHAMPION))
    if what == "score":
        return View(lineage, _score(lineage, name or "distilled_student"), name.partition(".")[2])
    if what == "video":
        key, notes = _video(lineage, Path(name))
        view = View(lineage, key, notes=notes)
        return replace(view, notes=(*notes, *_signed_snapshots(workspace, view)))
    raise LineageError(f"lineage of a score, a model, a clip or a video, not of {what!r}")


def _clip(lineage: Lineage, workspace: Workspace, name: str) -> str:
    try:
        clips = all_clips(workspace)
        selector, rows = find_clips(clips, name)
        if selector != "clip_id":
            raise LineageError(
                f"{name} is the {selector} of {len(rows)} clips: {', '.join(rows['clip_id'].head(5))}; give one id"
            )
        row = rows.iloc[0]
        facts: dict[str, Any] = {column: row[column] for column in CLIP_COLUMNS if column in rows and row[column]}
        facts["withdrawn"] = bool(withdrawn(rows, read_tombstones(workspace.tombstones)).iloc[0])
        lineage.add(f"clip:{row['clip_id']}", Node("clip", row["clip_id"], facts))
        return lineage.add_clips([row["clip_id"]])[0]
    except CurationError:
        key = lineage.add_clips([name])[0]
        if lineage.graph.out_degree(key):  # its shard is gone, and a snapshot still lists it
            return key
        raise


def _model(lineage: Lineage, name: str) -> str:
    found = [] if (address := _address(name)) is None else _versions_at(lineage, address)
    for key in lineage.keys("checkpoint"):
        node = lineage.node(key)
        by_digest = len(name) >= DIGITS and node.facts["weights_digest"].startswith(name)
        if by_digest or (node.name == name and node.facts["place"] == NOW):
            found.append(key)
    return _one(
        found,
        f"model {name}",
        [lineage.node(key).name for key in (*lineage.keys("version"), *lineage.keys("checkpoint"))],
    )


def _video(lineage: Lineage, path: Path) -> tuple[str, tuple[str, ...]]:
    """The model that a file of ours names: by its signature, else by the comment, else by the invisible mark."""
    verdict = verify_files([path])[0]
    signature, watermark = verdict.layers
    says, notes = dict(signature.says), [f"{path}: {layer.layer}: {layer.told}" for layer in verdict.layers]
    if signature.outcome == NO_MARK:
        try:
            says = read_comment(path)
            notes.append(f"{path}: its comment names the model; anybody can write one")
        except MediaError:
            says = dict(watermark.says)
    for name in (says.get("weights"), says.get("version") and f"{STUDENT}:{says['version']}"):
        if name:
            with contextlib.suppress(LineageError):
                return _model(lineage, str(name)), tuple(notes)
    named = f"{says['model']}, weights {says['weights'][:DIGITS]}" if says.get("weights") else "none"
    raise LineageError(
        f"{path} names a model that this home does not know ({named}): {signature.told}; ask in the home that made it"
    )


def _signed_snapshots(workspace: Workspace, view: View) -> Iterator[str]:
    """A sentence for each snapshot that the thing was made from: its clips are only worth naming if its files are those that were frozen."""
    for key in sorted(one for one in view.sources if one.startswith("snapshot:")):
        digest = view.lineage.node(key).facts["digest"]
        folder = view.lineage.frozen.get(digest)
        if folder is None:
            yield f"snapshot {digest[:12]}: its files are gone, so its signature says nothing"
            continue
        place = f"snapshot {digest[:12]} in {folder.place}"
        found = verify_snapshot(workspace, digest, folder.files, place)
        if found is None:
            yield f"{place}: nobody signed it"
        else:
            yield f"{place}: its files are as {found.signer} signed them on {found.time}"


def _address(name: str) -> ModelAddress | None:
    """None where the name can only be that of an asset or of nothing."""
    try:
        return ModelAddress.parse(name, STUDENT)
    except ModelAddressError:
        return None


def _versions_at(lineage: Lineage, address: ModelAddress) -> list[str]:
    found = []
    for key in lineage.keys("version"):
        name, number = lineage.node(key).name.split(" ")
        at = int(number) == address.version or address.alias in lineage.node(key).facts["aliases"]
        if name == address.name and at:
            found.append(key)
    return found


def _score(lineage: Lineage, name: str) -> str:
    model, _, metric = name.partition(".")
    found = [key for key in lineage.keys("score") if lineage.node(key).name.endswith(f" {model}")]
    now = [key for key in found if lineage.node(key).facts["place"] == NOW]
    key = _one(
        now or found, f"score {name}", [lineage.node(key).name.partition(" ")[2] for key in lineage.keys("score")]
    )
    numbers = lineage.node(key).facts.get("values", {})
    if metric and metric not in numbers:
        raise LineageError(f"{model} has no number {metric}; it has {', '.join(numbers)}")
    return key


def _one(found: list[str], wanted: str, known: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        raise LineageError(
            f"{wanted} means {len(found)} things: {', '.join(found)}; give a version or more digits of the weights"
        )
    listed = ", ".join(dict.fromkeys(known)) or f"none yet, run `omnihuman demo` (models are {', '.join(MODELS)})"
    raise LineageError(f"no {wanted}; there is: {listed}")


def as_lines(view: View) -> Iterator[str]:
    """Text: the thing, then two trees. What was printed is not printed again below another thing."""
    yield sentence(view.lineage.node(view.asked))
    if view.number:
        yield f"{view.number} = {view.lineage.node(view.asked).facts['values'][view.number]:.6g}"
    for title, reverse in (("made from", True), ("went into", False)):
        graph = view.lineage.graph.reverse(copy=False) if reverse else view.lineage.graph
        yield f"{title}{'' if graph.out_degree(view.asked) else ': nothing'}"
        yield from _branches(view.lineage, graph, view.asked, 1, set())


def _branches(lineage: Lineage, graph: nx.DiGraph, key: str, depth: int, printed: set[str]) -> Iterator[str]:
    for other in sorted(graph.successors(key), key=lambda one: (KINDS.index(lineage.node(one).kind), one)):
        link = graph.edges[key, other]
        doubt = "" if link["certain"] else " (by its name; which weights is not recorded)"
        said = sentence(lineage.node(other))
        if other in printed:
            yield f"{'  ' * depth}{said.partition(':')[0]} (above); {link['how']}{doubt}"
            continue
        yield f"{'  ' * depth}{said}; {link['how']}{doubt}"
        printed.add(other)
        yield from _clip_lines(lineage, other, depth + 1)
        yield from _branches(lineage, graph, other, depth + 1, printed)


def _clip_lines(lineage: Lineage, key: str, depth: int) -> Iterator[str]:
    """Of a shard without clips of its own in the graph: the first few."""
    node = lineage.node(key)
    if node.kind != "shard" or lineage.graph.in_degree(key):
        return
    clips = lineage.clips_of(node.facts["snapshot"]).get(node.name, [])
    more = f" and {len(clips) - CLIPS_SHOWN} more (--json has all)" if len(clips) > CLIPS_SHOWN else ""
    yield f"{'  ' * depth}clips {', '.join(clips[:CLIPS_SHOWN])}{more}"


def sentence(node: Node) -> str:
    """One thing in one line."""
    facts = node.facts
    if node.kind == "clip":
        return f"clip {node.name}: " + (
            ", ".join(f"{name} {value}" for name, value in facts.items()) or "its shard is gone"
        )
    if node.kind == "shard":
        return f"shard {node.name}: {facts.get('samples', '?')} samples of {facts.get('clips', '?')} clips, features {facts.get('features_sha256', '?')[:12]}"
    if node.kind == "snapshot":
        counts = ", ".join(f"{name} {value}" for name, value in facts.get("counts", {}).items())
        excluded = f", {len(facts['excluded'])} shards excluded" if facts.get("excluded") else ""
        return f"snapshot {node.name}: " + (f"{counts}{excluded}" if node.known else "its manifest is gone")
    if node.kind == "run":
        return f"run {facts['run_id'][:12]}: {node.name} in experiment {facts['experiment']}"
    if node.kind == "checkpoint":
        return f"checkpoint {node.name}: weights {facts['weights_digest'][:12]}, in {facts['place']}"
    if node.kind == "score":
        return f"score {node.name}: {facts['numbers']} numbers, in {facts['place']}"
    aliases = "".join(f" @{alias}" for alias in facts["aliases"])
    return f"version {node.name}{aliases}: weights {facts.get('weights_digest', '?')[:12]}, git {facts.get('git_commit', '?')[:12]}"


def as_json(view: View) -> dict[str, Any]:
    """Nodes and links, sources before products, and the clips of every shard that the thing was made from."""
    graph, lineage = view.graph, view.lineage
    order = list(nx.lexicographical_topological_sort(graph))
    nodes = [
        {"key": key, "kind": n.kind, "name": n.name, "known": n.known, **n.facts}
        for key in order
        for n in (lineage.node(key),)
    ]
    links = [
        {"from": a, "to": b, "how": graph.edges[a, b]["how"], "certain": graph.edges[a, b]["certain"]}
        for a, b in sorted(graph.edges)
    ]
    return {"asked": view.asked, "nodes": nodes, "links": links, "clips": clips_of_shards(view)}


def clips_of_shards(view: View) -> dict[str, list[str]]:
    """Shard's key to its clips, for the shards that the thing was made from."""
    found: dict[str, list[str]] = {}
    for digest in dict.fromkeys(
        view.lineage.node(key).facts["snapshot"] for key in view.sources if key.startswith("shard:")
    ):
        listed = view.lineage.clips_of(digest)
        found |= {f"shard:{shard}@{digest}": clips for shard, clips in sorted(listed.items())}
    return found
