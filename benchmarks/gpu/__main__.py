"""`python -m benchmarks.gpu --out FOLDER`: a table of what Wan2.1-1.3B's shape takes on one card, in at most eight minutes."""

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.gpu.cases import CASES, DRY, MINUTES, WHOLE, Case
from benchmarks.gpu.table import line, table
from media import write_atomically

REASONS = {"out of memory": "OutOfMemoryError", "not here": "not available"}


def main(given: list[str] | None = None) -> int:
    """Run the cases one after the other, each in a process of its own; write results.json after each and table.md at the end.

    What the planner says of them is counted in one more process beside them, which asks no GPU, and kept in planned.json. A second run with
    the same folder measures only what is not there yet. Returns 0 where every case has numbers, 1 otherwise.
    """
    asked = _arguments(given)
    if asked.case is not None:
        return _one(asked.case, asked.dry_run)
    if asked.plan is not None:
        return _plan(asked.plan, asked.dry_run)
    asked.out.mkdir(parents=True, exist_ok=True)
    kept = asked.out / "results.json"
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    wanted, deadline = _selected(asked.only), time.monotonic() + 60 * asked.minutes
    planning = _planning(asked.out / "planned.json", asked.dry_run) if asked.minutes else None
    for case in wanted:
        if "seconds" in results.get(case.name, {}):
            continue
        left = deadline - time.monotonic()
        # A dry run is about code: on a busy core a case may take whatever is left.
        longest = left if asked.dry_run else min(case.seconds, left)
        results[case.name] = _in_a_process(case, longest, asked.dry_run) if left > 5 else _out_of_time()
        write_atomically(kept, json.dumps(results, indent=1).encode())
        print(line(case.name, results[case.name]), flush=True)
    if planning is not None:
        planning.wait()
    planned = json.loads((asked.out / "planned.json").read_text()) if (asked.out / "planned.json").is_file() else {}
    write_atomically(asked.out / "table.md", table([case.name for case in wanted], results, planned).encode())
    return 0 if all("seconds" in results[case.name] for case in wanted) else 1


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description="Measure Wan2.1-1.3B's shape with random weights on one card: training step, adversarial update, generation. "
        "Each case is a process of its own; results.json and table.md are written to --out. A run that was stopped goes on.",
    )
    parser.add_argument("--out", type=Path, default=Path("build/gpu"), help="folder of the results")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="what the whole run may take (default: 8)")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these cases alone; without: all")
    parser.add_argument("--dry-run", action="store_true", help="the same code at sizes that a CPU runs in seconds")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(given)


def _selected(only: list[str] | None) -> tuple[Case, ...]:
    if only is None:
        return CASES
    unknown = set(only) - {case.name for case in CASES}
    if unknown:
        raise SystemExit(f"no case {sorted(unknown)}; there are: {', '.join(case.name for case in CASES)}")
    return tuple(case for case in CASES if case.name in only)


def _one(name: str, dry: bool) -> int:
    from benchmarks.gpu.measure import measure

    (case,) = _selected([name])
    try:
        print(f"RESULT {json.dumps(measure(case, DRY if dry else WHOLE))}", flush=True)
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
        # Without cleaning up: a process group that failed half-way is waited for until the case's time is over.
        os._exit(1)
    return 0


def _plan(kept: Path, dry: bool) -> int:
    from benchmarks.gpu.planned import plans

    write_atomically(kept, json.dumps(plans(DRY if dry else WHOLE), indent=1).encode())
    return 0


def _planning(kept: Path, dry: bool) -> "subprocess.Popen[bytes] | None":
    """Count what the planner says, where that is not there yet, without a look at the card that is measured."""
    if kept.is_file():
        return None
    command = [sys.executable, "-m", "benchmarks.gpu", "--plan", str(kept), *(["--dry-run"] if dry else [])]
    return subprocess.Popen(command, env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"})


def _in_a_process(case: Case, seconds: float, dry: bool) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--case", case.name, *(["--dry-run"] if dry else [])]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {seconds:.0f} s"}
    found = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode == 0 and found:
        return json.loads(found[-1].removeprefix("RESULT "))
    said = (done.stderr.strip().splitlines() or ["no output"])[-1]
    return {"failed": next((short for short, text in REASONS.items() if text in done.stderr), said[:200])}


def _out_of_time() -> dict[str, Any]:
    return {"failed": "not run: out of time"}


if __name__ == "__main__":
    sys.exit(main())
