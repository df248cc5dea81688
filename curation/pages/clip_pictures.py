"""Contact sheets of clips: the picture in the middle of each, with what is asked about it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from curation.errors import CurationError
from curation.intake.archive import read_clip
from curation.pages.figures import contact_sheet
from media import MediaError, decode_frames
from media.hiding import Hide, as_it_is

SHOWN = 8  # pictures in a row
FPS, LONGEST_SECONDS = 4.0, 4.0  # the picture shown is the clip's middle one, or that of its first 8 seconds


def clips_sheet(shard_dir: Path, rows: pd.DataFrame, column: str | None = None, hide: Hide = as_it_is) -> bytes | None:
    """PNG with a picture of each clip, in the order of `rows` (`clip_id`, `seconds`); None where none can be shown.

    Args:
        shard_dir: the raw shard.
        rows: of its clips.
        column: whose value stands over the picture, with the id.
        hide: what each picture goes through before it is shown.
    """
    pictures: list[np.ndarray] = []
    labels: list[str] = []
    for row in rows.to_dict("records"):
        picture = middle_picture(shard_dir, row)
        if picture is not None:
            pictures.append(hide(picture))
            labels.append(f"{_value(row[column])} {row['clip_id'][:8]}" if column else row["clip_id"])
    return contact_sheet(pictures, labels) if pictures else None


def middle_picture(shard_dir: Path, row: dict[str, Any]) -> np.ndarray | None:
    """`(H, W, 3)` uint8; None for a clip that is not to be read: a page shows what can be shown, and the scores' own run
    says what is broken."""
    try:
        data = read_clip(shard_dir, row["clip_id"])
        return decode_frames(data, FPS, min(row["seconds"] / 2, LONGEST_SECONDS))[-1]
    except (MediaError, CurationError):
        return None


def _value(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.3g}"


def evenly_spread(rows: pd.DataFrame, count: int = SHOWN) -> pd.DataFrame:
    """At most `count` rows from all over the table."""
    if len(rows) <= count:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, count).round().astype(int)]


def group_rows(clips: pd.DataFrame, groups: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """A table row per group of near duplicates: how many, how many files they came from, and their names."""
    names = clips.set_index("clip_id")["source_name"].to_dict()
    found = []
    for group in groups:
        known = [names[clip] for clip in group if clip in names]
        rest = len(group) - len(known)
        also = f" and {rest} of other shards" if rest else ""
        found.append(
            {
                "clips": len(group),
                "named after": group[0],
                "files": ", ".join(known[:4]) + (", ..." if len(known) > 4 else "") + also,
            }
        )
    return found
