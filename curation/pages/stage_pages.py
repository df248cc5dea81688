"""The pages of the two stages of curation that decide: scores, and subsets."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curation.intake.near_duplicates import near_duplicate_groups
from curation.pages.clip_pictures import SHOWN, clips_sheet, evenly_spread, group_rows
from curation.pages.figures import funnel_chart, thresholds
from curation.pages.subset_slices import slice_rows
from curation.scores.table import CLIP_COLUMNS
from curation.subsets.nested_subsets import join_tables, parse_predicates
from curation.subsets.predicates import Threshold, threshold_of
from curation.tables.storage import read_table
from media.hiding import Hide, as_it_is
from media.pages import Section, write_page
from profiles.conditions import SUBSETS
from profiles.schema import CurationConfig

GROUPS_SHOWN, GROUP_PICTURES = 20, 4


def write_scores_page(
    path: Path,
    shard_dir: Path,
    scores_dir: Path,
    histograms: bytes,
    config: CurationConfig,
    note: str = "",
    hide: Hide = as_it_is,
) -> Path:
    """`score_histograms`, quantiles, and the clips at either end of each score that decides; `note` stands before all of them."""
    scores = read_table(scores_dir / "scores.parquet")
    sections = [
        *_warning(note),
        Section(
            "Histograms",
            "Red lines are the thresholds of the profile's predicates. Counts are on a logarithmic scale; the first and the last "
            "bar hold the farthest half percent of the values too.",
            pictures=[histograms],
        ),
        Section("Quantiles", rows=quantile_rows(scores)),
        caption_section(scores),
    ]
    for column, limits in thresholds(config).items():
        if column not in scores or scores[column].notna().sum() < 2:
            continue
        ordered = scores[scores[column].notna()].sort_values(column)
        note = "; ".join(f"{subset}: {column} {comparison} {number:g}" for subset, comparison, number in limits)
        ends = [("lowest", ordered.head(SHOWN)), ("highest", ordered.tail(SHOWN))]
        sheets = [(caption, clips_sheet(shard_dir, part, column, hide)) for caption, part in ends]
        sections.append(_sheets(f"Lowest and highest {column}", note, sheets))
    sections.append(quarantine_section(scores_dir, "clips"))
    counts = {"clips": len(scores), "set aside": _quarantined(scores_dir)}
    return write_page(path, f"clip_scores, shard {shard_dir.name}: {len(scores)} clips", sections, counts)


def caption_section(scores: pd.DataFrame) -> Section:
    """Where captions come from, with clips, hours, length and the most frequent one of each source."""
    if "caption_source" not in scores:
        return Section("Captions", "These scores were made by an older version, which chose no captions.")
    rows: list[dict[str, Any]] = []
    for source, part in scores.groupby("caption_source"):
        often = part["caption"].value_counts()
        rows.append(
            {
                "caption from": source,
                "clips": len(part),
                "hours": part["seconds"].sum() / 3600,
                "words, median": part["caption_words"].median(),
                "different ones": len(often),
                "the most frequent": f"{often.index[0]} ({often.iloc[0]})",
            }
        )
    note = "A sidecar's caption, else the captioner's, else the words of the file name. `omnihuman subsets explain` says of a clip why."
    return Section("Captions", note, sorted(rows, key=lambda row: -row["clips"]))


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
    path: Path,
    shard_dir: Path,
    scores_dir: Path,
    subsets_dir: Path,
    funnel: dict[str, Any],
    config: CurationConfig,
    note: str = "",
    hide: Hide = as_it_is,
) -> Path:
    """Funnel with reasons, hours per condition, slices, near duplicates, and pictures of kept, just rejected and worst; `note` stands before
    all of them."""
    clips, scores = read_table(shard_dir / "clips.parquet"), read_table(scores_dir / "scores.parquet")
    subsets = read_table(subsets_dir / "subsets.parquet")
    table = join_tables(clips, scores_dir / "scores.parquet").merge(subsets, on="clip_id")
    sections = [
        *_warning(note),
        Section("Funnel", pictures=[funnel_chart(funnel)], rows=rejection_rows(funnel)),
        Section("Hours per condition", "A clip trains every condition whose subset it is in.", condition_rows(table)),
        *_pictures(shard_dir, table, config, hide),
        Section("Slices", rows=slice_rows(clips, scores, subsets)),
        near_duplicate_section(shard_dir, clips, hide),
        quarantine_section(subsets_dir, "rows"),
    ]
    counts = {"clips": len(table), **{name: int(table[name].sum()) for name in SUBSETS}}
    return write_page(path, f"filtered_subsets, shard {shard_dir.name}: {len(table)} clips", sections, counts)


def _warning(note: str) -> list[Section]:
    return [Section("People whom the keypoint detector does not know", note)] if note else []


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


def worst_rejected(table: pd.DataFrame, threshold: Threshold, clause: str) -> pd.DataFrame:
    """Clips that this clause turned away, alone or with others, those farthest from its threshold first; a clip without a
    value is farther than any."""
    turned_away = table[[clause in _reasons(entry) for entry in table["rejected_by"]]]
    distance = (turned_away[threshold.column] - threshold.number).abs()
    return turned_away.assign(distance=distance.fillna(np.inf)).sort_values("distance", ascending=False)


def _reasons(entry: str) -> list[str]:
    return entry.partition(": ")[2].split("; ") if entry else []


def _pictures(shard_dir: Path, table: pd.DataFrame, config: CurationConfig, hide: Hide) -> list[Section]:
    kept = [(f"in {name}", clips_sheet(shard_dir, evenly_spread(table[table[name]]), hide=hide)) for name in SUBSETS]
    sections = [_sheets("Kept", "From all over the shard.", kept)]
    for name, predicate in parse_predicates(config).items():
        for clause in predicate.clauses:
            threshold = threshold_of(clause)
            if threshold is None:
                continue
            near, far = just_rejected(table, threshold, clause), worst_rejected(table, threshold, clause)
            if far.empty:
                continue
            just = near.head(SHOWN)
            worst = far[~far["clip_id"].isin(just["clip_id"])].head(SHOWN)
            sheets = [
                (
                    "just: by this clause alone, nearest to its threshold first",
                    clips_sheet(shard_dir, just, threshold.column, hide),
                ),
                (
                    "worst: of the others, farthest from the threshold first",
                    clips_sheet(shard_dir, worst, threshold.column, hide),
                ),
            ]
            note = f"{len(far)} clips, of which {len(near)} by this clause alone. Over each picture its {threshold.column}."
            sections.append(_sheets(f"Turned away from {name} by {clause}", note, sheets))
    return sections


def _sheets(title: str, note: str, sheets: Sequence[tuple[str, bytes | None]]) -> Section:
    shown = [(caption, sheet) for caption, sheet in sheets if sheet]
    return Section(title, note, pictures=[sheet for _, sheet in shown], captions=[caption for caption, _ in shown])


def near_duplicate_section(shard_dir: Path, clips: pd.DataFrame, hide: Hide = as_it_is) -> Section:
    """Groups of near duplicates: their sizes and files, and pictures of the largest ones side by side."""
    if "near_duplicate_of" not in clips:
        return Section("Near duplicates", "This shard was ingested before near duplicates were looked for.")
    groups = near_duplicate_groups([clips])
    copies = int((clips["near_duplicate_of"] != "").sum())
    by_id = clips.set_index("clip_id", drop=False)
    sheets = []
    for group in groups[:GROUP_PICTURES]:
        members = by_id.loc[[clip for clip in group[:SHOWN] if clip in by_id.index]]
        sheets.append((f"{len(group)} clips, named after {group[0]}", clips_sheet(shard_dir, members, hide=hide)))
    section = _sheets(
        "Near duplicates", f"{copies} of {len(clips)} clips look like an earlier one, in {len(groups)} groups.", sheets
    )
    return replace(section, rows=group_rows(clips, groups[:GROUPS_SHOWN]))


def _quarantined(folder: Path) -> int:
    file = folder / "quarantine.parquet"
    return len(read_table(file)) if file.is_file() else 0


def quarantine_section(folder: Path, what: str) -> Section:
    """Rows of the table in `folder` that broke its contract."""
    listed = read_table(folder / "quarantine.parquet") if (folder / "quarantine.parquet").is_file() else pd.DataFrame()
    note = (
        f"{len(listed)} {what} broke the contract of the table and stand beside it."
        if len(listed)
        else f"No {what} broke the contract of the table."
    )
    return Section(
        "Quarantine", note, listed.head(GROUPS_SHOWN).drop(columns="sha256", errors="ignore").to_dict("records")
    )
