"""The registered versions side by side: aliases, what the gate said, scores, what they were trained on."""

import math
from typing import Any

from assets.core.workspace import Workspace
from assets.kinds.registration.version_files import ROWS, SCORES
from evaluation.scoring.criteria import demands
from evaluation.scoring.score_table import of_benchmark, read_scores, score_of
from tracking.registry import RegistryError, Version

DIGITS = 12


def version_rows(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    """One row per version of a registered model, newest first. A number that was not measured, or whose table is gone, is a dash."""
    versions = workspace.registry.versions(name) if workspace.tracker.exists() else []
    return [_row(workspace, version) for version in reversed(versions)]


def _row(workspace: Workspace, version: Version) -> dict[str, Any]:
    try:
        scores = read_scores(workspace.registry.file(version.name, version.version, SCORES))
    except RegistryError:
        scores = None
    row: dict[str, Any] = {
        "version": version.version,
        "aliases": ", ".join(version.aliases) or "–",
        "gate": version.tags.get("gate", "–"),
    }
    first = workspace.profile.evaluation.benchmarks[0]
    for demand in demands(workspace.profile.gate):
        rows = None if scores is None else of_benchmark(scores, demand.benchmark)
        value = math.nan if rows is None else score_of(rows, ROWS[version.name], demand.mode, demand.metric)
        place = demand.mode if demand.benchmark == first else f"{demand.benchmark}, {demand.mode}"
        row[f"{demand.kind.title}, {place}"] = "–" if math.isnan(value) else f"{value:.{demand.kind.digits}f}"
    origin = version.origin
    row["profile"] = origin.profile or "–"
    row["snapshot"] = origin.snapshot_digest[:DIGITS] or "–"
    row["refused because"] = version.tags.get("gate.reasons") or "–"
    return row
