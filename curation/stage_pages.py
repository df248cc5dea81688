"""The pages of the two stages of curation that decide: scores, and subsets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curation.archive import read_clip
from curation.pages import Section, write_page
from curation.predicates import Threshold, threshold_of
from curation.report import contact_sheet, funnel_chart, thresholds
from curation.scores.table import CLIP_COLUMNS
from curation.slices import slice_rows
from curation.storage import read_table
from curation.subsets import SUBSETS, join_tables, parse_predicates
from media import MediaError, decode_clip
from profiles.schema import CurationConfig

SHOWN = 8  # pictures in a row of a contact sheet


def write_scores_page(
    path: Path, shard_dir: Path, scores_dir: Path, histograms: bytes, config: CurationConfig
) -> Path:
    """`score_histograms`, quantiles, and the clips at either end of each score that decides."""
    scores = read_table(scores_dir / "scores.parquet")
    sections = [
        Section(
            "Histograms",
            "Red lines are the thresholds of the profile's predicates.",
            pictures=[histograms],
        ),
        Section("Quantiles", rows=quantile_rows(scores)),
    ]
    for column, limits in thresholds(config).items():
        if column not in scores or scores[column].notna().sum() < 2:
            continue
        ordered = scores[scores[column].notna()].sort_values(column)
        note = "; ".join(f"{subset}: {column} {comparison} {number:g}" for subset, comparison, number in limits)
        ends = [_sheet(shard_dir, part, column) for part in (ordered.head(SHOWN), ordered.tail(SHOWN))]
        sections.append(Section(f"Lowest and highest {column}", note, pictures=[sheet for sheet in ends if sheet]))
    return write_page(path, f"clip_scores, shard {shard_dir.name}: {len(scores)} clips", sections)


def quantile_rows(scores: pd.DataFrame) -> list[dict[str, Any]]:
    """Tenth, half and nine tenths of every score, and how many clips have it."""
    rows = []
    for name in scores.select_dtypes("number").columns:
        if name in CLIP_COLUMNS or name.startswith("keypoints_"):
            continue
        values = scores[name].dropna()
        low, middle, high = values.quantile([0.1, 0.5, 0.9]) if len(values) else (np.nan,) * 3
        rows.append(
            {
                "score": name,
                "p10": round(low, 4),
                "p50": round(middle, 4),
                "p90": round(high, 4),
                "clips with it": len(values),
            }
        )
    return rows


def write_subsets_page(
    path: Path, shard_dir: Path, scores_dir: Path, subsets_dir: Path, funnel: dict[str, Any], config: CurationConfig
) -> Path:
    """Funnel with reasons, hours per condition, slices, near-duplicates, and pictures of kept, just rejected and worst."""
    clips, scores = read_table(shard_dir / "clips.parquet"), read_table(scores_dir / "scores.parquet")
    subsets = read_table(subsets_dir / "subsets.parquet")
    table = join_tables(clips, scores).merge(subsets, on="clip_id")
    sections = [
        Section("Funnel", pictures=[funnel_chart(funnel)], rows=rejection_rows(funnel)),
        Section("Hours per condition", "A clip trains every condition whose subset it is in.", condition_rows(table)),
        *_pictures(shard_dir, table, config),
        Section("Slices", rows=slice_rows(clips, scores, subsets)),
        Section("Near-duplicates", *_near_duplicates(clips)),
    ]
    return write_page(path, f"filtered_subsets, shard {shard_dir.name}: {len(table)} clips", sections)


def rejection_rows(funnel: dict[str, Any]) -> list[dict[str, Any]]:
    """Which clause turned away how many."""
    return [
        {"subset": subset, "clause": clause, "clips": count}
        for subset, clauses in funnel["rejections"].items()
        for clause, count in clauses.items()
    ]


def condition_rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Clips, hours and share of all hours of each subset."""
    whole = table["seconds"].sum()
    rows = [{"condition": "all clips", "clips": len(table), "hours": whole / 3600, "share": "100%"}]
    for name in SUBSETS:
        part = table.loc[table[name], "seconds"]
        share = f"{part.sum() / whole:.0%}" if whole else "-"
        rows.append({"condition": name, "clips": len(part), "hours": part.sum() / 3600, "share": share})
    return rows


def just_rejected(table: pd.DataFrame, threshold: Threshold, clause: str) -> pd.DataFrame:
    """Clips that this clause alone turned away, those nearest to its threshold first."""
    turned_away = table[[_reasons(entry) == [clause] for entry in table["rejected_by"]]]
    distance = (turned_away[threshold.column] - threshold.number).abs()
    return turned_away.assign(distance=distance).sort_values("distance")


def _reasons(entry: str) -> list[str]:
    return entry.partition(": ")[2].split("; ") if entry else []


def _pictures(shard_dir: Path, table: pd.DataFrame, config: CurationConfig) -> list[Section]:
    kept = table[table["pose"]].iloc[:: max(1, int(table["pose"].sum()) // SHOWN)].head(SHOWN)
    sheet = _sheet(shard_dir, kept, None)
    sections = [Section("Kept for every condition", pictures=[sheet])] if sheet else []
    for name, predicate in parse_predicates(config).items():
        for clause in predicate.clauses:
            threshold = threshold_of(clause)
            if threshold is None:
                continue
            rejected = just_rejected(table, threshold, clause)
            near, far = rejected.head(SHOWN), rejected.iloc[SHOWN:].tail(SHOWN)
            sheets = [_sheet(shard_dir, part, threshold.column) for part in (near, far)]
            title = f"Turned away from {name} by {clause}: just, and worst"
            if any(sheets):
                sections.append(Section(title, f"{len(rejected)} clips", pictures=[sheet for sheet in sheets if sheet]))
    return sections


def _sheet(shard_dir: Path, rows: pd.DataFrame, column: str | None) -> bytes | None:
    pictures: list[np.ndarray] = []
    labels: list[str] = []
    for row in rows.to_dict("records"):
        picture = _middle_picture(shard_dir, row)
        if picture is not None:
            pictures.append(picture)
            labels.append(f"{row[column]:.3g} {row['clip_id'][:8]}" if column else row["clip_id"])
    return contact_sheet(pictures, labels) if pictures else None


def _middle_picture(shard_dir: Path, row: dict[str, Any]) -> np.ndarray | None:
    try:
        frames = decode_clip(read_clip(shard_dir, row["clip_id"]), 4.0, max_seconds=min(row["seconds"] / 2, 4.0)).frames
    except MediaError:
        return None  # the page shows what can be shown; the scores' own run says what is broken
    return frames[-1]


def _near_duplicates(clips: pd.DataFrame) -> tuple[str, Sequence[dict[str, Any]]]:
    if "near_duplicate_of" not in clips:
        return "This shard was ingested before near-duplicates were looked for.", []
    copies = clips[clips["near_duplicate_of"].fillna("") != ""]
    groups = copies.groupby("near_duplicate_of")["clip_id"].agg([("copies", "size"), ("such as", "first")])
    found = groups.sort_values("copies", ascending=False).head(20).reset_index().to_dict("records")
    return f"{len(copies)} clips are near-duplicates of another.", [
        {str(k): v for k, v in row.items()} for row in found
    ]
