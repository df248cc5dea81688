"""The page of the first stage: which files came, what they are, and which could not be used and why."""

from pathlib import Path
from typing import Any

import pandas as pd

from curation.pages.clip_pictures import SHOWN, clips_sheet, evenly_spread
from curation.pages.figures import value_histograms
from curation.pages.stage_pages import near_duplicate_section
from curation.tables.storage import read_table
from media.hiding import Hide, as_it_is
from media.pages import Section, write_page

LISTED = 200  # quarantined files
ROWS = 2  # of the contact sheet
FACTS = (
    "container",
    "video_codec",
    "pixel_format",
    "hdr",
    "rotation",
    "variable_rate",
    "audio_codec",
    "audio_channels",
)


def write_ingest_page(path: Path, shard_dir: Path, hide: Hide = as_it_is) -> Path:
    """Clips and hours, quarantine by reason, pictures, kinds of files, where they came from, near duplicates."""
    clips, refused = read_table(shard_dir / "clips.parquet"), read_table(shard_dir / "quarantine.parquet")
    files = clips["source_sha256"].nunique()
    hours = clips["seconds"].sum() / 3600
    note = (
        f"{files} files became {len(clips)} clips, {hours:.3g} hours; {len(refused)} files or shots could not be used."
    )
    reasons = refused["reason"].value_counts()
    by_reason = [{"reason": reason, "files or shots": int(count)} for reason, count in reasons.items()]
    sheet = clips_sheet(shard_dir, evenly_spread(clips, ROWS * SHOWN), hide=hide)
    measures = {
        "seconds": clips["seconds"],
        "frames per second": clips["fps"],
        "short side, px": clips[["width", "height"]].min(axis=1),
    }
    sections = [
        Section("Files and clips", note, by_reason),
        Section(
            "Quarantine",
            _cut_off(len(refused)),
            refused.head(LISTED)[["source_name", "reason", "message"]].to_dict("records"),
        ),
        Section("A look", "Clips from all over the shard.", pictures=[sheet] if sheet else []),
        Section("Lengths, rates, sizes", pictures=[value_histograms(measures)] if len(clips) else []),
        Section("What the files are", rows=fact_rows(clips)),
        Section("Where they come from", rows=origin_rows(clips)),
        near_duplicate_section(shard_dir, clips, hide),
    ]
    counts = {"files": files, "clips": len(clips), "hours": round(hours, 3), "set aside": len(refused)}
    return write_page(path, f"raw_clips, shard {shard_dir.name}: {len(clips)} clips", sections, counts)


def fact_rows(clips: pd.DataFrame) -> list[dict[str, Any]]:
    """Clips and hours by each fact of their files."""
    found = []
    for fact in (fact for fact in FACTS if fact in clips):
        for value, part in clips.groupby(fact, sort=False):
            found.append(
                {
                    "fact": fact,
                    "value": str(value) if value != "" else "none",
                    "clips": len(part),
                    "hours": part["seconds"].sum() / 3600,
                }
            )
    return found


def origin_rows(clips: pd.DataFrame) -> list[dict[str, Any]]:
    """Clips, hours and people by source, licence and consent, as their sidecars say; the largest first."""
    asked = ["source", "licence", "consent"]
    rows = []
    for values, part in clips.groupby(asked, sort=False):
        named = dict(zip(asked, map(_said, values), strict=True))
        people = part.loc[part["identity"] != "", "identity"].nunique()
        rows.append({**named, "clips": len(part), "hours": part["seconds"].sum() / 3600, "named people": people})
    return sorted(rows, key=lambda row: -row["clips"])[:LISTED]


def _said(value: Any) -> str:
    return str(value) if value != "" else "(not said)"


def _cut_off(count: int) -> str:
    return f"The first {LISTED} of {count}; all are in quarantine.parquet." if count > LISTED else ""
