"""The registered versions side by side: aliases, what the gate said, scores, what they were trained on."""

import math
from typing import Any

import pandas as pd

from assets.core.workspace import Workspace
from assets.kinds.registration.promotion import ROWS, SCORES
from evaluation.metrics.registry import GATE_METRICS
from evaluation.scoring.score_table import score_of
from tracking.registry import RegistryError, Version

DIGITS = 12


def version_rows(workspace: Workspace, name: str) -> list[dict[str, Any]]:
    """One row per version of a registered model, newest first. A number that was not measured, or whose table is gone, is a dash."""
    versions = workspace.registry.versions(name) if workspace.tracker.exists() else []
    return [_row(workspace, version) for version in reversed(versions)]


def _row(workspace: Workspace, version: Version) -> dict[str, Any]:
    try:
        scores = pd.read_parquet(workspace.registry.file(version.name, version.version, SCORES))
    except RegistryError:
        scores = None
    row: dict[str, Any] = {
        "version": version.version,
        "aliases": ", ".join(version.aliases) or "–",
        "gate": version.tags.get("gate", "–"),
    }
    for kind, gate in GATE_METRICS.items():
        value = math.nan if scores is None else score_of(scores, ROWS[version.name], gate.mode, kind.name)
        row[f"{kind.title}, {gate.mode}"] = "–" if math.isnan(value) else f"{value:.{kind.digits}f}"
    origin = version.origin
    row["profile"] = origin.profile or "–"
    row["snapshot"] = origin.snapshot_digest[:DIGITS] or "–"
    row["refused because"] = version.tags.get("gate.reasons") or "–"
    return row
