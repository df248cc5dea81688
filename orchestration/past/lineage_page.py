"""Lineage as one drawn, self-contained HTML page: boxes from sources (top) to products (bottom), doubtful links dashed."""

import html
from pathlib import Path

import networkx as nx

from media import write_atomically
from media.pages import STYLE
from orchestration.past.lineage_answers import View, clips_of_shards, sentence

WIDTH, HEIGHT, GAP_X, GAP_Y = 270, 46, 20, 48  # of a box and between boxes, in pixels
CLIPS_LISTED = 500
FILL = {
    "clip": "#fff3d6", "shard": "#fde5c8", "snapshot": "#e2f0d9", "run": "#eeeeee", "checkpoint": "#dce9f7",
    "score": "#f3dff1", "version": "#d5ecec",
}  # fmt: skip
PAGE_STYLE = (
    STYLE
    + """
body { max-width: 120rem; } .drawing { overflow-x: auto; } svg text { font: 12px system-ui, sans-serif; } svg .small { font-size: 10px; fill: #555; }
"""
)


def write_lineage_page(view: View, path: Path) -> Path:
    """Draw `view` into `path`; nothing is loaded from elsewhere. Returns `path`."""
    title = f"Lineage of {view.lineage.node(view.asked).kind} {view.lineage.node(view.asked).name}"
    sections = [f'<div class="drawing">{_drawing(view)}</div>', "<h2>Everything in it</h2>", _list(view), _clips(view)]
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f"<style>{PAGE_STYLE}</style></head><body>\n<h1>{html.escape(title)}</h1>\n"
        '<p class="note">From what was read (top) to what was made of it. A dashed line is known by name only. '
        "Point at a box for its details.</p>\n" + "\n".join(sections) + "\n</body></html>\n"
    )
    write_atomically(path, page.encode())
    return path


def _drawing(view: View) -> str:
    graph = _without_runs_of_checkpoints(view)
    places = _places(graph)
    columns = 1 + max(x for x, _ in places.values())
    rows = 1 + max(y for _, y in places.values())
    width, height = columns * (WIDTH + GAP_X) + GAP_X, rows * (HEIGHT + GAP_Y) + GAP_Y
    lines = [_line(places[a], places[b], graph.edges[a, b]) for a, b in graph.edges]
    boxes = [_box(view, key, place) for key, place in places.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" role="img">'
        + "".join(lines + boxes)
        + "</svg>"
    )


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


def _line(source: tuple[float, int], target: tuple[float, int], link: dict) -> str:
    (x0, y0), (x1, y1) = _corner(source), _corner(target)
    x0, y0, x1 = x0 + WIDTH / 2, y0 + HEIGHT, x1 + WIDTH / 2
    dashes = "" if link["certain"] else ' stroke-dasharray="5 4"'
    bend = max(GAP_Y / 2, (y1 - y0) / 2)
    path = f"M{x0:.0f},{y0:.0f} C{x0:.0f},{y0 + bend:.0f} {x1:.0f},{y1 - bend:.0f} {x1:.0f},{y1:.0f}"
    return f'<path d="{path}" fill="none" stroke="#8a8a8a"{dashes}><title>{html.escape(link["how"])}</title></path>'


def _box(view: View, key: str, place: tuple[float, int]) -> str:
    node, (x, y) = view.lineage.node(key), _corner(place)
    border = "#b00020" if key == view.asked else "#999" if node.known else "#d08000"
    kind, _, rest = sentence(node).partition(": ")
    return (
        f'<g><title>{html.escape(sentence(node))}</title><rect x="{x:.0f}" y="{y:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="5" '
        f'fill="{FILL[node.kind]}" stroke="{border}" stroke-width="{2.5 if key == view.asked else 1}"/>'
        f'<text x="{x + 8:.0f}" y="{y + 18:.0f}">{html.escape(_short(kind, 38))}</text>'
        f'<text class="small" x="{x + 8:.0f}" y="{y + 35:.0f}">{html.escape(_short(rest, 50))}</text></g>'
    )


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _list(view: View) -> str:
    graph = view.graph
    lines = [
        f"<li>{html.escape(sentence(view.lineage.node(key)))}</li>"
        for key in nx.lexicographical_topological_sort(graph)
    ]
    return f"<ul>{''.join(lines)}</ul>"


def _clips(view: View) -> str:
    parts = []
    for key, clips in clips_of_shards(view).items():
        more = (
            f" and {len(clips) - CLIPS_LISTED} more; `omnihuman lineage --json` has all"
            if len(clips) > CLIPS_LISTED
            else ""
        )
        listed = html.escape(", ".join(clips[:CLIPS_LISTED]) + more)
        parts.append(
            f"<details><summary>{len(clips)} clips of {html.escape(view.lineage.node(key).name)}</summary>{listed}</details>"
        )
    return "<h2>Clips</h2>" + "".join(parts) if parts else ""
