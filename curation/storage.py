"""Parquet tables that carry their own metadata."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

METADATA_KEY = b"omnihuman"


class CurationError(Exception):
    """Something that curation cannot go on with; the message names the file and the remedy."""


def write_table(table: pd.DataFrame, path: Path, schema: pa.Schema | None = None, metadata: Any = None) -> None:
    """Write parquet; with `schema` an empty table keeps its column types. `metadata` is any JSON value."""
    arrow = pa.Table.from_pandas(table, schema=schema, preserve_index=False)
    if metadata is not None:
        entry = {METADATA_KEY: json.dumps(metadata, sort_keys=True).encode()}
        arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), **entry})
    pq.write_table(arrow, path)


def read_table(path: Path) -> pd.DataFrame:
    """Read parquet.

    Raises:
        CurationError: the file is absent or is no parquet file.
    """
    if not path.is_file():
        raise CurationError(f"no table {path}; materialise {path.parent.parent.name} for this shard")
    try:
        return pd.read_parquet(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise CurationError(f"{path} cannot be read ({error}); delete its folder and materialise it again") from error


def read_table_metadata(path: Path) -> Any:
    """What `write_table` got as `metadata`; an empty dict where there was none."""
    found = (pq.read_schema(path).metadata or {}).get(METADATA_KEY)
    return json.loads(found) if found else {}
