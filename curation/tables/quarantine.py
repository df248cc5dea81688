"""What could not be kept, beside the table that it is missing from: files with a reason, rows that broke a contract, and clips on
which a step failed."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from curation.tables.contracts import QUARANTINE, Contract
from curation.tables.storage import read_table, write_table

FILE = "quarantine.parquet"
SCHEMA = pa.schema([(name, pa.string()) for name in ("source_name", "sha256", "reason", "message")])
PREFIX = "contract:"
FAILED = "failed:"
REPORT = "the code that made the row is wrong for this clip: report it with the file"
UNKNOWN = {"source_name": "", "sha256": ""}
ID_DIGITS = 16  # of a clip's sha256


@dataclass(frozen=True)
class Violations:
    """Rows of one table that broke its contract, by rule, beside the rows that were kept."""

    table: str
    kept: int
    rules: dict[str, int]

    @property
    def broken(self) -> int:
        """Rows in quarantine."""
        return sum(self.rules.values())

    @property
    def share(self) -> float:
        """Broken rows over all rows, in [0, 1]."""
        return self.broken / max(self.kept + self.broken, 1)

    def __str__(self) -> str:
        named = ", ".join(f"{rule} ({count})" for rule, count in self.rules.items()) or "none"
        return f"{self.broken} of {self.kept + self.broken} rows of {self.table} broke its contract: {named}"


def split_by_contract(
    table: pd.DataFrame, contract: Contract, clips: pd.DataFrame, file: str, remedy: str = REPORT
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that keep the contract, and quarantine rows for those that do not, with `contract:RULE` as reason.

    Args:
        table: rows of one shard with `clip_id` and the contract's key.
        contract: of the table.
        clips: the shard's clips; they give a row's file and hash.
        file: the table's file name, for the message.
        remedy: what a person can do about such a row.
    """
    broken = contract.violations(table)
    bad = (broken != "").to_numpy()
    own = owners(clips)
    key = contract.key or "clip_id"
    refused = [
        {
            **own.get(row["clip_id"], UNKNOWN),
            "reason": PREFIX + rule,
            "message": f"{key} {row[key]} breaks the rule {rule} of {file}{_infinite(row)}; {remedy}",
        }
        for row, rule in zip(table[bad].to_dict("records"), broken[bad], strict=True)
    ]
    return table[~bad], pd.DataFrame(refused, columns=SCHEMA.names)


def owners(clips: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Clip id to the `source_name` and `sha256` that stand for it in a quarantine."""
    rows = zip(clips["clip_id"], clips["source_name"], clips["sha256"], strict=True)
    return {clip: {"source_name": name, "sha256": sha256} for clip, name, sha256 in rows}


def write_quarantine(folder: Path, refused: pd.DataFrame) -> None:
    """Write the list beside its table, empty or not: that nothing was refused is said too."""
    write_table(refused, folder / FILE, SCHEMA, contract=QUARANTINE)


def quarantined_clips(folder: Path) -> dict[str, str]:
    """Clip id to reason for the clips that the table in `folder` lacks: their rows broke its contract, or the step failed on them.
    Nothing where none are listed."""
    if not (folder / FILE).is_file():
        return {}
    listed = read_table(folder / FILE)
    listed = listed[listed["reason"].str.startswith((PREFIX, FAILED))]
    return dict(zip(listed["sha256"].str[:ID_DIGITS], listed["reason"], strict=True))


def violations_in(folder: Path, table: str) -> Violations:
    """Count what `table` in `folder` kept and what its quarantine holds under `contract:RULE`."""
    kept = pq.read_metadata(folder / table).num_rows
    if not (folder / FILE).is_file():
        return Violations(table, kept, {})
    reasons = pd.read_parquet(folder / FILE, columns=["reason"])["reason"]
    rules = reasons[reasons.str.startswith(PREFIX)].str.removeprefix(PREFIX).value_counts()
    return Violations(table, kept, {str(rule): int(count) for rule, count in rules.items()})


def _infinite(row: dict) -> str:
    names = [name for name, value in row.items() if isinstance(value, float) and value in (float("inf"), -float("inf"))]
    return f" (infinite: {', '.join(names)})" if names else ""
