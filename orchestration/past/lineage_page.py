"""Lineage as one drawn, self-contained HTML page: boxes from sources (top) to products (bottom), doubtful links dashed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx

from media import write_atomically
from media.pages import render
from orchestration.past.lineage_answers import View, clips_of_shards, sentence

WIDTH, HEIGHT, GAP_X, GAP_Y = 270, 46, 20, 48  # of a box and between boxes, in pixels
CLIPS_LISTED = 500
FILL = {
    "clip": "#fff3d6", "shard": "#fde5c8", "snapshot": "#e2f0d9", "run": "#eeeeee", "checkpoint": "#dce9f7",
    "score": "#f3dff1", "version": "#d5ecec",
}  # fmt: skip


@dataclass(frozen=True)
class Box:
    """A node: its corner and size in pixels, colours, and what stands in it."""

    x: int
    y: int
    fill: str
    border: str
    border_width: float
    kind: str
    name: str
    sentence: str
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class Line:
    """A link as an SVG path; `how` says what is known of it."""

    path: str
    certain: bool
    how: str


@dataclass(frozen=True)
class Drawing:
    """Boxes and lines, and the size of the whole in pixels."""

    width: int
    height: int
    lines: list[Line]
    boxes: list[Box]


def write_lineage_page(view: View, path: Path) -> Path:
    """Draw `view` into `path`; nothing is loaded from elsewhere. Returns `path`."""
    asked = view.lineage.node(view.asked)
    order = nx.lexicographical_topological_sort(view.graph)
    page = render(
        "orchestration.past",
        "lineage.html",
        title=f"Lineage of {asked.kind} {asked.name}",
        drawing=_drawing(view),
        sentences=[sentence(view.lineage.node(key)) for key in order],
        clips=_clips(view),
    )
    write_atomically(path, page.encode())
    return path


def _drawing(view: View) -> Drawing:
    graph = _without_runs_of_checkpoints(view)
    places = _places(graph)
    columns = 1 + max(x for x, _ in places.values())
    rows = 1 + max(y for _, y in places.values())
    width, height = columns * (WIDTH + GAP_X) + GAP_X, rows * (HEIGHT + GAP_Y) + GAP_Y
    lines = [_line(places[a], places[b], graph.edges[a, b]) for a, b in graph.edges]
    return Drawing(round(width), round(height), lines, [_box(view, key, place) for key, place in places.items()])


def _without_runs_of_checkpoints(view: View) -> nx.DiGraph:
    """A run that made a checkpoint stands in the list below; beside the checkpoint it would only double the lines."""
    graph = view.graph.copy()
    node = view.lineage.node
    made = [
        key
        for key in graph
        if node(key).kind == "run" and any(node(s).kind == "checkpoint" for s in graph.successors(key))
    ]
    graph.remove_nodes_from([key for key in made if key != view.asked])
    return graph


def _places(graph: nx.DiGraph) -> dict[str, tuple[float, int]]:
    """Row: one below the lowest source. Within a row by the mean column of the sources, so that few lines cross."""
    places: dict[str, tuple[float, int]] = {}
    rows = [sorted(row) for row in nx.topological_generations(graph)]
    widest = max(map(len, rows))
    for number, row in enumerate(rows):

        def wanted(key: str) -> float:
            above = [places[source][0] for source in graph.predecessors(key)]
            return sum(above) / len(above) if above else 0.0

        left = (widest - len(row)) / 2
        for column, key in enumerate(sorted(row, key=lambda key: (wanted(key), key))):
            places[key] = (left + column, number)
    return places


def _corner(place: tuple[float, int]) -> tuple[float, float]:
    return GAP_X + place[0] * (WIDTH + GAP_X), GAP_Y / 2 + place[1] * (HEIGHT + GAP_Y)


def _line(source: tuple[float, int], target: tuple[float, int], link: dict) -> Line:
    (x0, y0), (x1, y1) = _corner(source), _corner(target)
    x0, y0, x1 = x0 + WIDTH / 2, y0 + HEIGHT, x1 + WIDTH / 2
    bend = max(GAP_Y / 2, (y1 - y0) / 2)
    path = f"M{x0:.0f},{y0:.0f} C{x0:.0f},{y0 + bend:.0f} {x1:.0f},{y1 - bend:.0f} {x1:.0f},{y1:.0f}"
    return Line(path, link["certain"], link["how"])


def _box(view: View, key: str, place: tuple[float, int]) -> Box:
    node, (x, y) = view.lineage.node(key), _corner(place)
    asked = key == view.asked
    border = "#b00020" if asked else "#999" if node.known else "#d08000"
    kind, _, rest = sentence(node).partition(": ")
    return Box(
        x=round(x),
        y=round(y),
        fill=FILL[node.kind],
        border=border,
        border_width=2.5 if asked else 1,
        kind=_short(kind, 38),
        name=_short(rest, 50),
        sentence=sentence(node),
    )


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _clips(view: View) -> list[dict[str, Any]]:
    shards = []
    for key, clips in clips_of_shards(view).items():
        more = f" and {len(clips) - CLIPS_LISTED} more; `omnihuman lineage --json` has all"
        listed = ", ".join(clips[:CLIPS_LISTED]) + (more if len(clips) > CLIPS_LISTED else "")
        shards.append({"name": view.lineage.node(key).name, "count": len(clips), "listed": listed})
    return shards
