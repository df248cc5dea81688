"""Subset query and threshold sweep over a simulated score table of 13 million clips: `python -m benchmarks.curation.selection`."""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.scores.table import scores_schema
from curation.subsets.selection import BATCH_ROWS, NOT_GATHERED, gather_scores, open_scores, select
from curation.subsets.threshold_sweep import sweep
from profiles import load_profile

CLIPS = 13_000_000
HOURS = 18_700  # OmniHuman-1's corpus after general filters
FILES = 256  # as `gather_scores` makes them
SHARDS, SHARD_CLIPS = 200, 1000  # for the gathering rate
# Centre and spread of the columns that the laptop's predicates read; the others are uniform.
CENTRES = {
    "motion": (0.6, 0.5), "cut_score": (0.2, 0.15), "overlay_text_strokes": (0.3, 0.15), "mouth_visibility": (0.8, 0.2),
    "mouth_audio_correlation": (0.6, 0.3), "mouth_audio_lag_frames": (0.0, 1.5), "pose_visibility": (0.7, 0.3),
    "person_share": (0.9, 0.2), "seconds": (3600 * HOURS / CLIPS, 1.5),
}  # fmt: skip


def simulate(folder: Path, clips: int) -> None:
    """Write the gathered table: every column that the laptop profile's scores have, a tenth of some values missing."""
    profile = load_profile("laptop", [])
    schema = scores_schema(profile.curation.scores)
    rng = np.random.default_rng(0)
    each = -(-clips // FILES)
    for index in range(FILES):
        rows = min(each, clips - index * each)
        if rows > 0:
            table = _table(rng, rows, schema)
            pq.write_table(table, folder / f"{index:03d}.parquet", row_group_size=BATCH_ROWS)


def _table(rng: np.random.Generator, rows: int, schema: pa.Schema) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for field in schema:
        if field.name in NOT_GATHERED:
            continue
        if field.name == "clip_id":
            columns[field.name] = pa.array([f"{value:016x}" for value in rng.integers(0, 2**62, rows)])
        elif field.type == pa.bool_():
            columns[field.name] = pa.array(rng.random(rows) < 0.8)
        elif field.name == "caption":
            columns[field.name] = pa.array(
                [f"{value:040} a person talks to us in a room" for value in rng.integers(0, 2**40, rows)]
            )
        elif field.type == pa.string():
            columns[field.name] = pa.array(rng.choice(["sidecar", "captioner"], rows))
        else:
            centre, spread = CENTRES.get(field.name, (0.5, 0.29))
            values = np.abs(rng.normal(centre, spread, rows)) if centre else rng.normal(centre, spread, rows).round()
            columns[field.name] = pa.array(values, mask=rng.random(rows) < 0.02)
    columns["seconds"] = columns["seconds"].fill_null(5.0)
    return pa.table(columns)


def question(folder: Path, which: str) -> dict[str, float]:
    """Seconds and this process's peak memory in GiB."""
    pa.set_cpu_count(2)
    config = load_profile("laptop", []).curation
    started = time.perf_counter()
    dataset = open_scores(sorted(folder.glob("*.parquet")))
    found = select(dataset, config) if which == "query" else sweep(dataset, config).selection
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "seconds": seconds,
        "gib": peak,
        "clips": found.clips,
        "hours": found.hours,
        "pose": found.keep_rate("pose"),
    }


def gathering(folder: Path) -> float:
    """Clips per second of bringing shards' own tables together."""
    schema, rng = scores_schema(load_profile("laptop", []).curation.scores), np.random.default_rng(1)
    tables = {}
    for index in range(SHARDS):
        tables[f"s-{index}"] = folder / f"s-{index}.parquet"
        pq.write_table(_table(rng, SHARD_CLIPS, schema), tables[f"s-{index}"])
    started = time.perf_counter()
    gather_scores(tables, folder / "gathered")
    return SHARDS * SHARD_CLIPS / (time.perf_counter() - started)


def main() -> None:
    """Simulate, then ask each question in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--question", nargs=2, metavar=("FOLDER", "WHICH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.question:
        print(json.dumps(question(Path(options.question[0]), options.question[1])))
        return
    with tempfile.TemporaryDirectory(prefix="selection-") as temporary:
        folder = Path(temporary)
        simulate(folder, options.clips)
        for which in ("query", "sweep"):
            command = [sys.executable, "-m", "benchmarks.curation.selection", "--question", temporary, which]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            print(
                f"{which}: {found['clips']:,} clips, {found['hours']:,.0f} hours in {found['seconds']:.2f} s, peak "
                f"{found['gib']:.2f} GiB (pose keeps {found['pose']:.1%} of the hours)"
            )
    with tempfile.TemporaryDirectory(prefix="gathering-") as temporary:
        print(f"gathering shards of {SHARD_CLIPS} clips: {gathering(Path(temporary)):,.0f} clips/s")


if __name__ == "__main__":
    main()
