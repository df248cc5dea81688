#!/usr/bin/env bash
# pyarrow 26.0.1, polars 2.1.0, duckdb 2.0.1 (Python 3.11): ids that were strings come back from hive folders as numbers, by each library's own rule.
#
# Seen: `pyarrow.parquet.write_to_dataset(partition_cols=["person"])` writes a column of strings as names of folders (person=0012). Ids "0012" and "12" are both
# 12 for pyarrow and polars: two people are one, and a join with their labels finds neither. duckdb keeps zeros in front, yet takes "0x10" for 16, as pyarrow
# does and polars does not. With one more id, "1e3", pyarrow gives all of them back as written, and polars makes all of them floats: what an id is depends
# on the others. No call warns. Told that they are strings (a partitioning with a schema, hive_schema, hive_types_autocast = false) all three agree.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.1 numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY'
import sys

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq


def read_back(name: str, ids: list[str]) -> dict[str, list]:
    """The ids in the order of the rows, by library; then by the same libraries told that they are strings."""
    folder = f"{sys.argv[1]}/{name}"
    pq.write_to_dataset(pa.table({"person": ids, "row": range(len(ids))}), folder, partition_cols=["person"])
    files = f"{folder}/**/*.parquet"
    strings = ds.partitioning(pa.schema([("person", pa.string())]), flavor="hive")
    asked = f"select person from read_parquet('{files}', hive_partitioning = true{{}}) order by row"
    return {
        "pyarrow": pq.read_table(folder).sort_by("row")["person"].to_pylist(),
        "polars": pl.read_parquet(files, hive_partitioning=True).sort("row")["person"].to_list(),
        "duckdb": [row[0] for row in duckdb.sql(asked.format("")).fetchall()],
        "pyarrow, told": pq.read_table(folder, partitioning=strings).sort_by("row")["person"].to_pylist(),
        "polars, told": pl.read_parquet(files, hive_schema={"person": pl.String}).sort("row")["person"].to_list(),
        "duckdb, told": [row[0] for row in duckdb.sql(asked.format(", hive_types_autocast = false")).fetchall()],
    }


for name, ids, expected in [
    ("zeros", ["0012", "12"], {"pyarrow": [12, 12], "polars": [12, 12], "duckdb": ["0012", "12"]}),
    ("hex", ["0x10", "12"], {"pyarrow": [16, 12], "polars": ["0x10", "12"], "duckdb": [16, 12]}),
    ("exponent", ["0012", "12", "1e3"], {"pyarrow": ["0012", "12", "1e3"], "polars": [12.0, 12.0, 1000.0], "duckdb": ["0012", "12", "1e3"]}),
]:
    seen = read_back(name, ids)
    for library, found in seen.items():
        print(f"{ids} {library:14} {found}")
        assert repr(found) == repr(expected.get(library, ids)), "changed"
PY
