"""DuckDB against Arrow for the subsets' predicates: `pip install --no-deps duckdb`, `python -m benchmarks.libraries.duckdb_predicates`."""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.curation.selection import simulate
from curation.subsets.selection import open_scores, parse_predicates, select
from profiles import load_profile


def by_arrow(folder: Path) -> dict[str, int]:
    """As in the product."""
    found = select(open_scores(sorted(folder.glob("*.parquet"))), load_profile("laptop", []).curation)
    return found.subset_clips


def by_duckdb(folder: Path) -> dict[str, int]:
    """The laptop's predicates as they are written happen to be SQL."""
    inside: list[str] = []
    counts: list[str] = []
    predicates = parse_predicates(load_profile("laptop", []).curation)
    for predicate in predicates.values():
        inside.append(f"coalesce({' '.join(predicate.text.split())}, false)")
        counts.append(f"count(*) filter ({' and '.join(inside)}), sum(seconds) filter ({' and '.join(inside)})")
    connection = duckdb.connect()
    connection.execute("set threads = 1")
    row = connection.execute(f"select {', '.join(counts)} from read_parquet('{folder}/*.parquet')").fetchone()
    assert row is not None
    return dict(zip(predicates, row[::2], strict=True))


def main() -> None:
    """CPU seconds and memory of both, each in a process of its own, on one thread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1_300_000)
    parser.add_argument("--ask", nargs=2, metavar=("FOLDER", "WHICH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        pa.set_cpu_count(1)
        ask = by_arrow if options.ask[1] == "arrow" else by_duckdb
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        clips = ask(Path(options.ask[0]))
        seconds = time.process_time() - began
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
        print(
            json.dumps({"which": options.ask[1], "cpu_seconds": round(seconds, 2), "mib": round(grown), "clips": clips})
        )
        return
    with tempfile.TemporaryDirectory(prefix="predicates-") as folder:
        simulate(Path(folder), options.clips)
        for which in ("arrow", "duckdb"):
            subprocess.run(
                [sys.executable, "-m", "benchmarks.libraries.duckdb_predicates", "--ask", folder, which], check=True
            )


if __name__ == "__main__":
    main()
