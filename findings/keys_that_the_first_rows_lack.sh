#!/usr/bin/env bash
# polars 2.1.0, duckdb 2.0.1, pyarrow 26.0.1, datasets 5.2.0, pandas 3.1.1 (Python 3.11): what only later clips have is dropped, each library looking at another number of them.
#
# Seen: a list of clips of which the last alone has a pose. pyarrow's Table.from_pylist and datasets' from_list and from_generator look at the first clip, pl.DataFrame at 100:
# there is no pose, and no warning. Of the same as lines of JSON, polars looks at 100, duckdb at 20480; pandas, pyarrow.json and load_dataset find it. In a folder of parquet
# files of which the second alone has poses, pyarrow, pandas and duckdb go by the first: all rows come, without poses. With the files' names the other way round
# pyarrow and pandas have them, and duckdb refuses; polars refuses both. So a condition that few clips have, or only the shards of a later day, trains nothing, and
# whether it does depends on the order. A schema that is given, infer_schema_length=None, sample_size=-1 and union_by_name=true help. (polars' issue 23190 tells of its 100.)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install polars==2.1.0 duckdb==2.0.1 pyarrow==26.0.1 datasets==5.2.0 pandas==3.1.1 numpy==2.4.6
export HF_HOME="$work/home" HF_HUB_OFFLINE=1
"$work/venv/bin/python" -W error::UserWarning - "$work" <<'PY'
import json
import sys
from pathlib import Path

import datasets
import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.json as pj
import pyarrow.parquet as pq

datasets.disable_progress_bars()
work, last = Path(sys.argv[1]), {"clip": "last", "pose": "a file"}
lines = str(work / "clips.jsonl")


def clips(without: int) -> list[dict[str, str]]:
    return [{"clip": str(number)} for number in range(without)] + [last]


def generate(rows: list[dict[str, str]]):
    yield from rows


def columns(rows: list[dict[str, str]]) -> dict[str, list[str]]:
    Path(lines).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "pa.Table.from_pylist": pa.Table.from_pylist(rows).column_names,
        "Dataset.from_list": datasets.Dataset.from_list(rows).column_names,
        "pl.DataFrame": pl.DataFrame(rows).columns,
        "pd.DataFrame": list(pd.DataFrame(rows).columns),
        "pl.read_ndjson": pl.read_ndjson(lines).columns,
        "duckdb": duckdb.sql(f"select * from '{lines}'").columns,
        "pd.read_json": list(pd.read_json(lines, lines=True).columns),
        "pyarrow.json": pj.read_json(lines).column_names,
        "load_dataset": datasets.load_dataset("json", data_files=lines, split="train").column_names,
    }


first, hundred, many = {"pa.Table.from_pylist", "Dataset.from_list"}, {"pl.DataFrame", "pl.read_ndjson"}, {"duckdb"}
for without, expected in ((0, set()), (1, first), (99, first), (100, first | hundred), (20479, first | hundred), (20480, first | hundred | many)):
    seen = {name for name, there in columns(clips(without)).items() if "pose" not in there}
    print(f"{without:5} clips without a pose, then one with: lost by", sorted(seen) or "none")
    assert seen == expected, "changed"
made = datasets.Dataset.from_generator(generate, gen_kwargs={"rows": clips(1)})
print("datasets' from_generator:", made[:])
assert made.column_names == ["clip"] and len(made) == 2, "changed"
assert "pose" in pl.DataFrame(clips(100), infer_schema_length=None).columns, "changed"
assert "pose" in duckdb.sql(f"select * from read_json('{lines}', sample_size = -1)").columns, "changed"

for name, tables in (("second", [[{"clip": "a"}], [last]]), ("first", [[last], [{"clip": "a"}]])):
    folder = work / name
    folder.mkdir()
    for number, rows in enumerate(tables):
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{number}.parquet")
    files = f"'{folder}/*.parquet'"
    readers = {
        "pyarrow": lambda: ds.dataset(folder).to_table(),
        "pandas": lambda: pa.Table.from_pandas(pd.read_parquet(folder)),
        "duckdb": lambda: pa.table(duckdb.sql(f"select * from {files}").to_arrow_table()),
        "polars": lambda: pl.read_parquet(f"{folder}/*.parquet").to_arrow(),
        "duckdb, told": lambda: duckdb.sql(f"select * from read_parquet({files}, union_by_name = true)").to_arrow_table(),
    }
    seen = {}
    for library, read in readers.items():
        try:
            table = read()
            assert table.num_rows == 2, "changed"
            seen[library] = "pose" in table.column_names
        except (pl.exceptions.PolarsError, duckdb.Error):
            seen[library] = "refused"
    print(f"two files, poses in the {name}: have them", seen)
    alone = {"pyarrow": False, "pandas": False, "duckdb": False} if name == "second" else {"pyarrow": True, "pandas": True, "duckdb": "refused"}
    assert seen == alone | {"polars": "refused", "duckdb, told": True}, "changed"
PY
