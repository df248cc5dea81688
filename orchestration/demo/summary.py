"""What a person sees at the end: scores, quarantine, registry, and where to look."""

import json
from collections.abc import Collection

import pandas as pd
from rich.table import Table

from assets.core.names import STUDENT
from assets.core.workspace import Workspace
from assets.kinds.registration.registered_versions import where_champion_stands
from evaluation.scoring.comparison_columns import EVERY
from evaluation.scoring.criteria import demands
from orchestration.demo.console import DemoConsole

ROOM = 9  # columns of numbers beside the models' names
COST = "seconds_per_clip"


def print_results(workspace: Workspace, console: DemoConsole) -> None:
    """Print tables from the files that the assets left; nothing is computed."""
    _print_quarantine(workspace, console)
    _print_scores(workspace, console)
    _print_registry(workspace, console)
    folder = workspace.of_benchmark("baseline_comparison")
    console.line(f"all scores       {folder / 'comparison.md'}")
    console.line(f"contact sheet    {folder / 'contact_sheet.png'}")
    console.line(f"student's video  {folder / 'student.mp4'}")
    console.line("open the UIs     make ui")


def _print_scores(workspace: Workspace, console: DemoConsole) -> None:
    folder = workspace.of_benchmark("baseline_comparison")
    result = json.loads((folder / "comparison.json").read_text())
    table = Table(title=f"{result['clips']} held-out clips of {result['name']}", title_justify="left")
    table.add_column("", no_wrap=True)
    columns = shown_columns(workspace, next(iter(result["table"].values())))
    for column in columns:
        table.add_column(column, justify="right")
    for title, row in result["table"].items():
        table.add_row(title, *("" if row[column] is None else f"{row[column]:.3f}" for column in columns))
    console.console.print(table)


def shown_columns(workspace: Workspace, row: Collection[str]) -> list[str]:
    """Titles of the columns that a terminal has room for: of many those that the gate reads, and what a video costs; comparison.md has all."""
    narrow = [column for column in EVERY if column.narrow and column.title in row]
    if len(narrow) > ROOM:
        profile = workspace.profile
        read = {demand.metric for demand in demands(profile.gate, profile.evaluation.benchmarks[:1])} | {COST}
        narrow = [column for column in narrow if column.metric in read]
    return [column.title for column in narrow]


def _print_quarantine(workspace: Workspace, console: DemoConsole) -> None:
    tables = [pd.read_parquet(p) for p in sorted(workspace.data("raw_clips").glob("s-*/quarantine.parquet"))]
    found = pd.concat(tables) if tables else pd.DataFrame()
    if found.empty:
        return
    table = Table(title="quarantined files", title_justify="left")
    for column in ("file", "reason", "what to do"):
        table.add_column(column)
    for row in found.itertuples():
        table.add_row(row.source_name, row.reason, row.message)
    console.console.print(table)


def _print_registry(workspace: Workspace, console: DemoConsole) -> None:
    decision = json.loads((workspace.data("promoted_champion") / "decision.json").read_text())
    console.line(f"registry         {where_champion_stands(workspace)[1]}")
    if decision["promote"]:
        return
    console.line(f"                 the gate refused version {decision['challenger']} of {STUDENT}:")
    for reason in decision["reasons"]:
        console.line(f"                   - {reason}")
