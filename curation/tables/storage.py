"""Parquet tables that carry their own metadata and the name of the contract that their rows keep."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import CurationError
from curation.tables.contracts import CONTRACTS, Contract

METADATA_KEY = b"omnihuman"
CONTRACT_KEY = b"omnihuman.contract"


def write_table(
    table: pd.DataFrame,
    path: Path,
    schema: pa.Schema | None = None,
    metadata: Any = None,
    contract: Contract | None = None,
) -> None:
    """Write parquet.

    Args:
        table: the rows.
        path: of the file.
        schema: with it an empty table keeps its column types.
        metadata: any JSON value.
        contract: every row must keep it; take out those that do not with `Contract.violations` before.

    Raises:
        CurationError: a row breaks the contract, or a value has no place in the schema.
    """
    if contract is not None:
        _check(table, path, contract, "the code that makes this table is wrong; report it")
    try:
        arrow = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, KeyError) as error:
        raise CurationError(f"{path} cannot hold its rows ({error}); they do not fit the table's schema") from error
    entries: dict[bytes, bytes] = {}
    if metadata is not None:
        entries[METADATA_KEY] = json.dumps(metadata, sort_keys=True).encode()
    if contract is not None:
        entries[CONTRACT_KEY] = contract.name.encode()
    if entries:
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **entries})
    pq.write_table(arrow, path)


def read_table(path: Path) -> pd.DataFrame:
    """Read parquet; the contract that the table names is checked.

    Raises:
        CurationError: the file is absent, is no parquet file, or has rows that break its contract.
    """
    if not path.is_file():
        raise CurationError(f"no table {path}; materialise {path.parent.parent.name} for this shard")
    try:
        table = pd.read_parquet(path)
        name = (pq.read_schema(path).metadata or {}).get(CONTRACT_KEY, b"").decode()
    except (pa.ArrowInvalid, OSError) as error:
        raise CurationError(f"{path} cannot be read ({error}); delete its folder and materialise it again") from error
    if name in CONTRACTS:
        _check(
            table,
            path,
            CONTRACTS[name],
            "it was changed after it was written; delete its folder and materialise it again",
        )
    return table


def read_table_metadata(path: Path) -> Any:
    """What `write_table` got as `metadata`; an empty dict where there was none."""
    found = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
    return json.loads(found) if found else {}


def _check(table: pd.DataFrame, path: Path, contract: Contract, remedy: str) -> None:
    broken = contract.violations(table)
    broken = broken[broken != ""]
    if len(broken):
        rules = ", ".join(f"{rule} ({count})" for rule, count in broken.value_counts().items())
        raise CurationError(
            f"{len(broken)} of {len(table)} rows of {path} break the contract {contract.name}: {rules}; {remedy}"
        )
