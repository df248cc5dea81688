"""Who is kept and who is not: clips by shot, face, hands, language, length, size, source and origin of the caption, with each subset's share."""

from typing import Any

import numpy as np
import pandas as pd

from profiles.conditions import SUBSETS

# Column to the edges between its slices, and their names. Face sizes follow the film maker's shots: a face of a third of
# the picture's height is a close-up, of a tenth a full figure.
EDGES: dict[str, tuple[str, list[float], list[str]]] = {
    "shot": ("face_size", [0.1, 0.2, 0.35], ["full figure", "half figure", "bust", "close-up"]),
    "face height": ("face_pixels", [32, 64, 128], ["< 32 px", "32 to 63 px", "64 to 127 px", ">= 128 px"]),
    "hands": ("hand_visibility", [0.05, 0.5], ["no hands", "hands at times", "hands"]),
    "head": ("absolute_yaw", [15, 40], ["frontal", "turned", "profile"]),
    "duration": ("seconds", [2, 5, 10, 30], ["< 2 s", "2 to 5 s", "5 to 10 s", "10 to 30 s", "> 30 s"]),
    "size": ("short_side", [240, 480, 720, 1080], ["< 240", "240 to 479", "480 to 719", "720 to 1079", ">= 1080"]),
    "speech": ("speech_share", [0.1, 0.6], ["no speech", "some speech", "speech"]),
}
TEXTS = {
    "language": "language",
    "caption from": "caption_source",
}  # slice to a column of words, each of which is a slice
SLICED = (
    "clip_id", "seconds", "height", "face_size", "hand_visibility", "head_yaw", "short_side", "speech_share", "language",
    "caption_source",
)  # fmt: skip  # the columns of a score table that are read
UNKNOWN = "unknown"


def slice_rows(clips: pd.DataFrame, scores: pd.DataFrame, subsets: pd.DataFrame) -> list[dict[str, Any]]:
    """One row per slice with clips, hours, and the share of its clips in each subset.

    Args:
        clips: clips.parquet of a shard; `source_name` gives the folder that a clip came from.
        scores: its score table; a slice whose column is not there is left out.
        subsets: its subsets.
    """
    own = ["clip_id", *(name for name in ("source_name",) if name in clips)]
    table = scores.merge(subsets[["clip_id", *SUBSETS]], on="clip_id").merge(clips[own], on="clip_id")
    if "head_yaw" in table:
        table["absolute_yaw"] = table["head_yaw"].abs()
    if {"face_size", "height"} <= set(table.columns):
        table["face_pixels"] = table["face_size"] * table["height"]
    labels = {
        name: _cut(table[column], edges, names) for name, (column, edges, names) in EDGES.items() if column in table
    }
    labels |= {name: _words(table[column]) for name, column in TEXTS.items() if column in table}
    if "source_name" in table:
        labels["source"] = np.array([_folder(name) for name in table["source_name"]], dtype=object)
    rows: list[dict[str, Any]] = []
    for name, label in labels.items():
        for value in [v for v in [*EDGES.get(name, ("", [], []))[2], *sorted(set(label))] if v in set(label)]:
            if not any(row["slice"] == name and row["value"] == value for row in rows):
                rows.append(_row(name, value, table[label == value]))
    return rows


def _row(name: str, value: str, part: pd.DataFrame) -> dict[str, Any]:
    shares = {f"in {subset}": f"{part[subset].mean():.0%}" for subset in SUBSETS}
    return {"slice": name, "value": value, "clips": len(part), "hours": part["seconds"].sum() / 3600, **shares}


def _cut(values: pd.Series, edges: list[float], names: list[str]) -> np.ndarray:
    numbers = values.to_numpy(float)
    found = np.array(names, dtype=object)[np.searchsorted(edges, np.nan_to_num(numbers), side="right")]
    return np.where(np.isfinite(numbers), found, UNKNOWN)


def _words(values: pd.Series) -> np.ndarray:
    return values.fillna(UNKNOWN).to_numpy(object)


def _folder(source_name: str) -> str:
    folder, slash, _ = source_name.rpartition("/")
    return folder.split("/")[0] if slash else "(inbox)"
