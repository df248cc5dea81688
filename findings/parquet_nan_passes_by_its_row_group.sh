#!/usr/bin/env bash
# pyarrow 26.0.1, duckdb 2.0.1, polars 2.1.0, pandas 3.1.1 (Python 3.11): which clips pass a threshold depends on how their file was cut, if a score is NaN.
#
# Seen: six clips, two with the score NaN, in one parquet file of pyarrow. `score >= 0.5` gives a c in pyarrow and pandas, and in polars a c and both NaN (it counts
# NaN as above all). duckdb does so too for a table in memory; of the file it gives both, or one of them, by row_group_size: a group is skipped by the largest number
# in its statistics, which leave NaN out. pyarrow itself does it under `~(score < 0.5)`: a b c e from one group, a b c from two. And of that file duckdb's
# isnan(score) finds none and shows false in every row, while `count(*) filter (where isnan(score))` is 2; of a file without statistics, or its own, it finds both.
# (duckdb's issue 25521 tells of other comparisons.) So subsets change when files are merged or rewritten. Scores that have no value go in as
# null, as pandas' to_parquet does it, and then all four agree.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install pyarrow==26.0.1 duckdb==2.0.1 polars==2.1.0 pandas==3.1.1 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work/scores.parquet" <<'PY'
import sys

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

path, nan = sys.argv[1], float("nan")
clips = pa.table({"clip": list("abcdef"), "score": [0.9, nan, 0.7, 0.2, nan, 0.1]})


def asked(where: str, source: str = f"'{path}'") -> str:
    return "".join(row[0] for row in duckdb.sql(f"select clip from {source} where {where} order by clip").fetchall())


def passing() -> dict[str, str]:
    field = ds.field("score")
    return {
        "pyarrow": "".join(ds.dataset(path).to_table(filter=field >= 0.5)["clip"].to_pylist()),
        "pandas": "".join(pd.read_parquet(path).query("score >= 0.5")["clip"]),
        "polars": "".join(pl.scan_parquet(path).filter(pl.col("score") >= 0.5).collect()["clip"]),
        "duckdb": asked("score >= 0.5"),
        "pyarrow, not below": "".join(ds.dataset(path).to_table(filter=~(field < 0.5))["clip"].to_pylist()),
        "duckdb, isnan": asked("isnan(score)"),
    }


def check(name: str, **expected: str) -> None:
    seen = passing()
    print(f"{name:32}", seen)
    fixed = {"pyarrow": "ac", "pandas": "ac", "polars": "abce"}
    names = {"duckdb": "duckdb", "below": "pyarrow, not below", "isnan": "duckdb, isnan"}
    assert seen == fixed | {names[key]: value for key, value in expected.items()}, "changed"


pq.write_table(clips, path, row_group_size=6)
check("pyarrow's file, one group", duckdb="abce", below="abce", isnan="")
shown = [row[0] for row in duckdb.sql(f"select isnan(score) from '{path}'").fetchall()]
counted = duckdb.sql(f"select count(*) filter (where isnan(score)) from '{path}'").fetchall()[0][0]
print("  duckdb shows isnan as", shown, "and counts", counted)
assert not any(shown) and counted == 2, "changed"
pq.write_table(clips, path, row_group_size=3)
check("pyarrow's file, two groups", duckdb="abc", below="abc", isnan="")
pq.write_table(clips, path, row_group_size=3, write_statistics=False)
check("pyarrow's file, no statistics", duckdb="abce", below="abce", isnan="be")
duckdb.sql("select * from clips").write_parquet(path)
check("duckdb's file", duckdb="abce", below="abce", isnan="be")
print("duckdb, in memory:", asked("score >= 0.5", "clips"), asked("isnan(score)", "clips"))
assert asked("score >= 0.5", "clips") == "abce" and asked("isnan(score)", "clips") == "be", "changed"

clips.to_pandas().to_parquet(path, row_group_size=3)
seen = passing()
print(f"{'null in place of NaN':32}", seen)
assert {seen[name] for name in ("pyarrow", "pandas", "polars", "duckdb", "pyarrow, not below")} == {"ac"}, "changed"
PY
