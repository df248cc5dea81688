"""Nested subsets text ⊇ audio ⊇ pose (OmniHuman-1 section 3.3): one that misses a condition trains the weaker ones. `curation.silent_pose`
unnests pose from audio."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from curation.scores.registry import columns_of
from curation.scores.table import CLIP_COLUMNS
from curation.subsets.predicates import Predicate, Threshold, evaluate_all, parse_predicate, threshold_of
from curation.tables.contracts import SUBSETS as CONTRACT
from curation.tables.quarantine import quarantined_clips, split_by_contract, write_quarantine
from curation.tables.storage import CurationError, read_table, write_table
from media import whole_directory
from profiles.conditions import SUBSETS
from profiles.schema import CurationConfig

SUBSETS_SCHEMA = pa.schema(
    [("clip_id", pa.string()), *((name, pa.bool_()) for name in SUBSETS), ("rejected_by", pa.string())]
)


@dataclass(frozen=True)
class Verdict:
    """One clause on one clip: the values of the columns it reads, its threshold if it has one, and whether it holds."""

    subset: str
    clause: str
    values: dict[str, float | bool | str | None]
    passed: bool
    threshold: Threshold | None = None


def known_columns(config: CurationConfig) -> dict[str, str]:
    """Columns that a predicate may read, and what they hold: those of the scores that are on, and the clip's own."""
    return {**CLIP_COLUMNS, **columns_of(config.scores)}


def predicates_of(config: CurationConfig) -> dict[str, str]:
    """The three expressions as they stand in the profile."""
    return {name: getattr(config, name) for name in SUBSETS}


def made_with(config: CurationConfig) -> dict[str, str]:
    """What a table of subsets says that it was made with: the predicates, and `silent_pose` where it is on."""
    return predicates_of(config) | ({"silent_pose": "true"} if config.silent_pose else {})


def parse_predicates(config: CurationConfig) -> dict[str, Predicate]:
    """Check all three.

    Raises:
        CurationError: naming the profile key, the fault, and the known columns.
    """
    columns = known_columns(config)
    return {name: parse_predicate(text, columns, f"curation.{name}") for name, text in predicates_of(config).items()}


def join_tables(clips: pd.DataFrame | Path, scores: pd.DataFrame | Path) -> pd.DataFrame:
    """One row per clip with its own columns and its scores.

    Clips that stand in the quarantine beside a score table, given as a path, have no row.

    Raises:
        CurationError: the two tables do not speak of the same clips.
    """
    refused = quarantined_clips(scores.parent) if isinstance(scores, Path) else {}
    clips = read_table(clips) if isinstance(clips, Path) else clips
    scores = read_table(scores) if isinstance(scores, Path) else scores
    odd = sorted(set(clips["clip_id"]) ^ (set(scores["clip_id"]) | set(refused)))
    if odd:
        raise CurationError(f"clips and scores differ in {len(odd)} clips (such as {odd[0]}); score this shard again")
    own = ["clip_id", *(name for name in CLIP_COLUMNS if name not in scores and name in clips)]
    return clips[own].merge(scores, on="clip_id", validate="one_to_one").sort_values("clip_id")


def nest(meets: Mapping[str, np.ndarray], config: CurationConfig) -> dict[str, np.ndarray]:
    """Which clips lie in each subset, of those that meet each predicate by itself: `(clips,)` bools by name, outermost first."""
    inside: dict[str, np.ndarray] = {}
    for name in SUBSETS:
        outer = "text" if name == "pose" and config.silent_pose else next(reversed(inside), None)
        inside[name] = meets[name] if outer is None else meets[name] & inside[outer]
    return inside


def assign_subsets(table: pd.DataFrame, config: CurationConfig) -> pd.DataFrame:
    """`clip_id`, nested bools `text`, `audio`, `pose`, and `rejected_by`: `subset: clause` of the first subset missed,
    clauses joined by `; `, empty for a clip that is in all three. With `silent_pose` the pose subset lies in the text subset alone."""
    predicates = parse_predicates(config)
    holds = _clauses_on(table, predicates)
    meets = {name: np.all([holds[clause] for clause in predicates[name].clauses], axis=0) for name in SUBSETS}
    inside = nest(meets, config)
    rejected = np.full(len(table), "", dtype=object)
    for name in SUBSETS:
        asked = nest({**meets, name: np.ones(len(table), bool)}, config)[name]
        for row in np.flatnonzero(asked & ~meets[name] & (rejected == "")):
            missed = [clause for clause in predicates[name].clauses if not holds[clause][row]]
            rejected[row] = f"{name}: " + "; ".join(missed)
    columns: dict[str, Any] = {"clip_id": table["clip_id"].to_numpy(), **inside}
    return pd.DataFrame({**columns, "rejected_by": rejected}, columns=SUBSETS_SCHEMA.names)


def _clauses_on(table: pd.DataFrame, predicates: dict[str, Predicate]) -> dict[str, np.ndarray]:
    """`(rows,)` bool for every clause of every predicate."""
    read = sorted({column for predicate in predicates.values() for column in predicate.columns})
    missing = [column for column in read if column not in table]
    if missing:
        raise CurationError(f"the score table has no column {missing[0]!r}; score this shard again")
    clauses = {clause: clause for predicate in predicates.values() for clause in predicate.clauses}
    return evaluate_all(clauses, pa.Table.from_pandas(table[["clip_id", *read]], preserve_index=False))


def funnel_of(subsets: pd.DataFrame, config: CurationConfig) -> dict[str, Any]:
    """Counts from `clips_in` to `pose`, the predicates, and for each subset how many clips each clause turned away."""
    turned_away: dict[str, Counter[str]] = {name: Counter() for name in SUBSETS}
    for entry in subsets["rejected_by"]:
        name, _, clauses = entry.partition(": ")
        if name:
            turned_away[name].update(clauses.split("; "))
    counts = {"clips_in": len(subsets), **{name: int(subsets[name].sum()) for name in SUBSETS}}
    rejections = {name: dict(sorted(found.items())) for name, found in turned_away.items()}
    return {**counts, "rejections": rejections, "predicates": predicates_of(config)}


def select_subsets(clips_table: Path, scores_table: Path, destination: Path, config: CurationConfig) -> dict[str, Any]:
    """Write `destination/` subsets.parquet, quarantine.parquet and funnel.json; returns the funnel. No score is computed
    anew. A clip whose scores are in quarantine is in no subset, rejected by `contract:RULE`.

    Raises:
        CurationError: a predicate is wrong, or the tables do not match.
    """
    clips = read_table(clips_table)
    found = assign_subsets(join_tables(clips, scores_table), config)
    found = _with_quarantined(found, quarantined_clips(scores_table.parent))
    subsets, refused = split_by_contract(found, CONTRACT, clips, "subsets.parquet")
    funnel = funnel_of(subsets, config)
    with whole_directory(destination) as folder:
        write_table(subsets, folder / "subsets.parquet", SUBSETS_SCHEMA, made_with(config), CONTRACT)
        write_quarantine(folder, refused)
        (folder / "funnel.json").write_text(json.dumps(funnel, indent=1, sort_keys=True) + "\n")
    return funnel


def _with_quarantined(subsets: pd.DataFrame, refused: dict[str, str]) -> pd.DataFrame:
    outside = dict.fromkeys(SUBSETS, False)
    rows = [{"clip_id": clip, **outside, "rejected_by": f"{SUBSETS[0]}: {reason}"} for clip, reason in refused.items()]
    if not rows:
        return subsets
    return pd.concat([subsets, pd.DataFrame(rows)], ignore_index=True).sort_values("clip_id", ignore_index=True)


def explain(
    clip_id: str, clips_table: pd.DataFrame | Path, scores_table: pd.DataFrame | Path, config: CurationConfig
) -> list[Verdict]:
    """Every clause of every subset on one clip (its id, or the beginning of it).

    Raises:
        CurationError: no such clip, several, or one whose scores are in quarantine.
    """
    if isinstance(scores_table, Path):
        for clip, reason in quarantined_clips(scores_table.parent).items():
            if clip.startswith(clip_id):
                raise CurationError(
                    f"the scores of clip {clip} are in {scores_table.parent}/quarantine.parquet: {reason}"
                )
    table = join_tables(clips_table, scores_table)
    row = table[table["clip_id"].str.startswith(clip_id)]
    if len(row) != 1:
        raise CurationError(f"{len(row)} clips have an id that begins with {clip_id!r}; look it up in clips.parquet")
    predicates = parse_predicates(config)
    holds = _clauses_on(row, predicates)
    verdicts = []
    for name, predicate in predicates.items():
        for clause in predicate.clauses:
            columns = parse_predicate(clause, known_columns(config)).columns
            values = {column: _plain(row[column].iloc[0]) for column in columns}
            verdicts.append(Verdict(name, clause, values, bool(holds[clause][0]), threshold_of(clause)))
    return verdicts


def _plain(value: Any) -> float | bool | str | None:
    return value.item() if isinstance(value, np.generic) else value
