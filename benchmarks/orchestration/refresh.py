"""What looking again costs where nothing is new, and what one new shard costs beside the whole run.

`OMNIHUMAN_HOME=HOME python -m benchmarks.orchestration.refresh [CLIPS]` in the home of a finished demo. It adds CLIPS puppets (64) to that home's
inbox and curates them; they stay there. Times are of the clock and of whole processes, imports included.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

import dagster as dg

from assets.core.catalogue import FLOW
from assets.core.workspace import Workspace, open_workspace
from assets.kinds.demo_corpus import PuppetFile, render_puppet
from orchestration.dagster_location.instance import open_instance
from orchestration.dagster_location.jobs import PER_SHARD

FIRST_SEED = 60_000_000
TICK = (
    "import dagster as dg; from assets.core.workspace import open_workspace; from orchestration.dagster_location.instance import open_instance\n"
    "from orchestration.dagster_location.schedules import REASON, nightly_training\n"
    "with open_instance(open_workspace()) as instance:\n"
    "    with dg.build_schedule_context(instance=instance) as context:\n"
    "        found = nightly_training(context)\n"
    "print(found.skip_message if isinstance(found, dg.SkipReason) else found.tags[REASON])"
)


def main() -> None:
    """Print one line per measure."""
    count, workspace = int((sys.argv[1:] or ["64"])[0]), open_workspace()
    whole, steps = whole_run(workspace)
    print(
        f"the whole run, as its assets' last materialisations say: {whole:.0f} s of {steps} executed steps", flush=True
    )
    seconds, output = timed(["-m", "orchestration.commands.cli", "demo", "--no-real-clips"])
    print(
        f"`omnihuman demo`, nothing new: {seconds:.1f} s; {next(line for line in output if 'assets computed' in line)}",
        flush=True,
    )
    tick("`nightly_training`, nothing new")
    drop(workspace, count)
    began, made, stood = time.perf_counter(), 0, 0
    for name in PER_SHARD:
        _, output = timed(["-m", "assets", name])
        made += sum(", version " in line for line in output)
        stood += sum("up to date" in line for line in output)
    print(
        f"one new shard of {count} clips: {time.perf_counter() - began:.1f} s, {made} steps executed, {stood} left as they were",
        flush=True,
    )
    tick("`nightly_training`, one new shard")


def whole_run(workspace: Workspace) -> tuple[float, int]:
    """Seconds and number of the steps, by the last materialisation of each asset or of its first shard."""
    seconds = []
    with open_instance(workspace) as instance:
        for step in FLOW:
            event = instance.get_latest_materialization_event(dg.AssetKey(step.name))
            if event is None or event.asset_materialization is None:
                raise SystemExit(f"{step.name} was never made in {workspace.root}: run `omnihuman demo` there first")
            value = event.asset_materialization.metadata["seconds"].value
            assert isinstance(value, float)
            seconds.append(value)
    return sum(seconds), len(seconds)


def tick(name: str) -> None:
    """One tick of the schedule in a process of its own."""
    seconds, output = timed(["-c", TICK])
    print(f"{name}: {seconds:.1f} s; {output[-1]}", flush=True)


def timed(arguments: Sequence[str]) -> tuple[float, list[str]]:
    """Seconds and printed lines of a Python process that must succeed."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)[:80]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - began, done.stdout.splitlines()


def drop(workspace: Workspace, count: int) -> None:
    """Puppets that no demo has, written long enough ago for the sensor."""
    taken = sum(1 for _ in workspace.inbox.glob("*.mp4"))
    for number in range(count):
        puppet = PuppetFile(FIRST_SEED + taken + number, "clean", 25)
        render_puppet(puppet, workspace.inbox)
        for path in workspace.inbox.glob(f"{puppet.name}*"):
            os.utime(path, (1e9, 1e9))


if __name__ == "__main__":
    main()
