"""What must be true of every row of every table: checked when a table is written and again when it is read.

A contract is an Arrow schema, which the writer gives, and rules over values. A table carries its contract's name in its
metadata, so whoever reads it checks it. Rows that break a rule go to quarantine with the rule's name when they are written.
No pandera: the rules are a line each, and it would keep a second schema beside Arrow's.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from profiles.conditions import SUBSETS as NESTED

Check = Callable[[pd.DataFrame], "np.ndarray | pd.Series"]
Rule = tuple[tuple[str, ...], Check]
# Why an audio track was taken: media.audio.hearing.
TRACK_CHOICES = ("only", "default", "first", "sounding")
HEX_16, HEX_32, HEX_64 = r"[0-9a-f]{16}", r"[0-9a-f]{32}", r"[0-9a-f]{64}"


@dataclass(frozen=True)
class Contract:
    """Rules of one table. `key` is a column without repetition, if there is one; a rule gives `(rows,)` bool, true where it
    holds, and is asked only where all the columns that it names are there.
    """

    name: str
    key: str | None
    rules: Mapping[str, Rule] = field(default_factory=dict)

    def violations(self, table: pd.DataFrame) -> pd.Series:
        """For each row the first rule that it breaks, empty for a row that keeps them all."""
        broken = pd.Series("", index=table.index, dtype=object)
        rules: dict[str, Rule] = {}
        if self.key is not None:
            key = self.key
            rules["key_is_unique"] = ((key,), lambda rows: ~rows[key].duplicated())
        rules |= self.rules
        for name, (needs, check) in rules.items():
            if len(table) and set(needs) <= set(table.columns):
                holds = pd.Series(check(table), index=table.index).fillna(False).astype(bool)
                broken[(broken == "") & ~holds] = name
        return broken


def _matches(column: str, pattern: str) -> Rule:
    return (column,), lambda rows: rows[column].astype("string").str.fullmatch(pattern)


def _between(column: str, low: float, high: float) -> Rule:
    return (column,), lambda rows: rows[column].between(low, high)


def _nested(rows: pd.DataFrame) -> np.ndarray:
    """Whoever is in a subset is in the weakest. Whether pose lies in audio too is a setting of the profile, which a table does not know."""
    return np.all([rows[NESTED[0]] | ~rows[stronger] for stronger in NESTED[1:]], axis=0)


CLIPS = Contract(
    "clips",
    "clip_id",
    {
        "clip_id_is_hex": _matches("clip_id", HEX_16),
        "clip_id_begins_sha256": (
            ("clip_id", "sha256"),
            lambda rows: np.array([a == b[:16] for a, b in zip(rows["clip_id"], rows["sha256"], strict=True)]),
        ),
        "source_sha256_is_hex": _matches("source_sha256", HEX_64),
        "width_in_range": _between("width", 1, 65_535),
        "height_in_range": _between("height", 1, 65_535),
        "fps_in_range": _between("fps", 0.01, 1000.0),
        "seconds_in_range": _between("seconds", 1e-3, 7 * 86_400.0),
        "has_frames": _between("frames", 1, np.inf),
        "range_in_order": (
            ("start_seconds", "end_seconds"),
            lambda rows: (rows["start_seconds"] >= 0) & (rows["end_seconds"] > rows["start_seconds"]),
        ),
        "rotation_is_quarter_turn": (("rotation",), lambda rows: rows["rotation"].isin([0, 90, 180, 270])),
        "bit_depth_in_range": _between("bit_depth", 1, 32),
        "hdr_is_known": (("hdr",), lambda rows: rows["hdr"].isin(["", "pq", "hlg"])),
        "audio_is_described": (
            ("has_audio", "audio_channels", "audio_sample_rate", "audio_seconds"),
            lambda rows: (
                ~rows["has_audio"].astype(bool)
                | ((rows["audio_channels"] > 0) & (rows["audio_sample_rate"] > 0) & (rows["audio_seconds"] > 0))
            ),
        ),
        "track_is_there": (
            ("has_audio", "audio_tracks", "audio_track"),
            lambda rows: ~rows["has_audio"].astype(bool) | rows["audio_track"].between(0, rows["audio_tracks"] - 1),
        ),
        "track_is_chosen": (
            ("has_audio", "audio_choice"),
            lambda rows: ~rows["has_audio"].astype(bool) | rows["audio_choice"].isin(TRACK_CHOICES),
        ),
        "audio_is_filled_within_reason": _between("audio_filled_seconds", 0, np.inf),
        "phash_is_hex": _matches("phash", HEX_32),
        "near_duplicate_is_a_clip": _matches("near_duplicate_of", f"|{HEX_16}"),
        "no_duplicate_of_itself": (
            ("clip_id", "near_duplicate_of"),
            lambda rows: rows["clip_id"] != rows["near_duplicate_of"],
        ),
    },
)
QUARANTINE = Contract(
    "quarantine",
    None,
    {
        "reason_is_a_code": _matches("reason", r"[a-z][a-z0-9_]*(:[a-z0-9_]+)?"),
        "message_says_something": (("message",), lambda rows: rows["message"].str.len() > 0),
    },
)
SCORES = Contract(
    "scores",
    "clip_id",
    {
        "clip_id_is_hex": _matches("clip_id", HEX_16),
        "keypoints_in_order": (
            ("keypoints_offset", "keypoints_frames"),
            lambda rows: (rows["keypoints_offset"] >= 0) & (rows["keypoints_frames"] >= 1),
        ),
        "no_infinite_score": ((), lambda rows: ~np.isinf(rows.select_dtypes("number").to_numpy(float)).any(axis=1)),
    },
)
SUBSETS = Contract(
    "subsets",
    "clip_id",
    {
        "subsets_are_nested": (
            NESTED,
            _nested,
        ),
    },
)
SAMPLES = Contract(
    "samples",
    "sample_id",
    {
        "window_in_range": (
            ("window_start", "reference_frame"),
            lambda rows: (rows["window_start"] >= 0) & (rows["reference_frame"] >= 0),
        ),
        "feature_key_is_hex": _matches("feature_key", HEX_64),
    },
)
SNAPSHOT = Contract(
    "snapshot",
    "sample_id",
    {
        "row_in_range": _between("row", 0, np.inf),
        "subsets_are_nested": (
            NESTED,
            lambda rows: rows[NESTED[0]] & _nested(rows),
        ),
    },
)
CONTRACTS = {contract.name: contract for contract in (CLIPS, QUARANTINE, SCORES, SUBSETS, SAMPLES, SNAPSHOT)}
