"""How a package's rooms import each other: `python -m benchmarks.import_arrows [--before OTHER_CHECKOUT]`.

A room is a folder, or a module that lies beside the folders. Imports inside functions and under TYPE_CHECKING count like those at a module's head.
"""

import argparse
import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import networkx as nx

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = tuple(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"])


@dataclass(frozen=True)
class Arrows:
    """One package, counted.

    Attributes:
        rooms: folders and flat modules.
        arrows: pairs of rooms of which one imports the other.
        upward: arrows that have to go before the rooms lie in layers.
        circles: sets of modules that each reach the others by imports, largest first.
    """

    rooms: int
    arrows: int
    upward: int
    circles: tuple[tuple[str, ...], ...]

    def row(self) -> str:
        """Counts, and how many modules are in circles."""
        sizes = " + ".join(str(len(circle)) for circle in self.circles) or "-"
        return f"{self.rooms:>6}{self.arrows:>8}{self.upward:>8}  {sizes}"


def count_arrows(root: Path, package: str) -> Arrows:
    """Count one package of a checkout."""
    modules = module_graph(root, package)
    rooms = nx.DiGraph()
    rooms.add_nodes_from(_room(name) for name in modules if name != package)
    rooms.add_edges_from(
        (_room(a), _room(b)) for a, b in modules.edges if package not in (a, b) and _room(a) != _room(b)
    )
    circles = [tuple(sorted(part)) for part in nx.strongly_connected_components(modules) if len(part) > 1]
    circles.sort(key=lambda circle: (-len(circle), circle))
    return Arrows(len(rooms), rooms.number_of_edges(), len(upward_arrows(rooms)), tuple(circles))


def module_graph(root: Path, package: str) -> nx.DiGraph:
    """Every module of a package, with an arrow to each module of it that it imports, wherever in the file."""
    files = {_name(path.relative_to(root)): path for path in sorted((root / package).rglob("*.py"))}
    graph = nx.DiGraph()
    graph.add_nodes_from(files)
    for name, path in files.items():
        imported = {_known(target, files) for target in _imports(path)} & set(files)
        graph.add_edges_from((name, target) for target in imported - {name})
    return graph


def upward_arrows(rooms: nx.DiGraph) -> list[tuple[str, str]]:
    """Arrows against the order of Eades, Lin and Smyth (1993, "A fast and effective heuristic for the feedback arc set problem")."""
    first: list[str] = []
    last: list[str] = []
    rest = rooms.copy()
    while rest:
        sinks = [room for room in rest if rest.out_degree(room) == 0]
        sources = [room for room in rest if room not in sinks and rest.in_degree(room) == 0]
        best = max(sorted(rest), key=lambda room: rest.out_degree(room) - rest.in_degree(room))
        taken = sinks or sources or [best]
        (last if sinks else first).extend(taken)
        rest.remove_nodes_from(taken)
    place = {room: index for index, room in enumerate([*first, *reversed(last)])}
    return [(a, b) for a, b in rooms.edges if place[a] > place[b]]


def _imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports; `from a import b` gives `a.b`, which may be a module or a name in one."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _known(target: str, files: dict[str, Path]) -> str:
    return target if target in files else target.rpartition(".")[0]


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _room(module: str) -> str:
    return module.split(".")[1]


def main(arguments: list[str] | None = None) -> None:
    """Print a table of this checkout, beside another where one is given; then the circles."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.import_arrows", description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, counted too")
    before = parser.parse_args(arguments).before
    checkouts = {"before": before, "now": ROOT} if before else {"now": ROOT}
    print(f"{'package':<15}{'':<7}{'rooms':>6}{'arrows':>8}{'upward':>8}  modules in circles")
    circles = []
    for package in PACKAGES:
        for title, root in checkouts.items():
            if (root / package).is_dir():
                counted = count_arrows(root, package)
                print(f"{package:<15}{title:<7}{counted.row()}")
                circles += [f"{title}: {', '.join(circle)}" for circle in counted.circles]
    print("\n".join(["", *circles]) if circles else "\nno circles")


if __name__ == "__main__":
    main()
