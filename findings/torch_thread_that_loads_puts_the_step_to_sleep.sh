#!/usr/bin/env bash
# A thread that prepares batches makes every operator of the thread that trains wait asleep, also while it does nothing itself.
#
# torch 2.13.0 (CPU wheel, which brings its own libgomp), Python 3.11, two cores or more. A thread that runs its first large operator gets
# OpenMP threads of its own. libgomp counts those of all; once they are more than the cores, threads no longer wait for one another in a
# busy loop for as long as GOMP_SPINCOUNT says: between operators they sleep and are woken. Seen here in how often the
# process gives a core up, with waiting that would otherwise last for seconds; an operator of 10 microseconds takes 75 so.
# `torch.set_num_threads(1)` in the thread that loads, and nothing of it happens. The number is said again for the others, and there is
# a second surprise: what a thread was told is forgotten at its first operator, if others were told something else meanwhile.
# `torch.get_num_threads()` in it, right after, makes it stay.
#
#   switches an operator: alone 0.0; beside a thread that loads, and one that was told too late, more than 0.5; beside one told in time 0.0
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --no-compile torch==2.13.0 numpy
for beside in nobody loads told told_and_asked; do
  env -u OMP_WAIT_POLICY -u OMP_NUM_THREADS GOMP_SPINCOUNT=20000000000 "$place/venv/bin/python" - "$beside" <<'PY'
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import torch

beside, threads = sys.argv[1], torch.get_num_threads()
assert threads > 1, "one core alone: nothing waits for anything"
loader = ThreadPoolExecutor(1)
if beside.startswith("told"):
    loader.submit(torch.set_num_threads, 1).result()
    if beside == "told_and_asked":
        assert loader.submit(torch.get_num_threads).result() == 1
    torch.set_num_threads(threads)
if beside != "nobody":
    loader.submit(lambda: torch.zeros(1_000_000).add_(1)).result()  # its one batch; from here on it does nothing
x = torch.zeros(200_000)


def measured(number: int) -> tuple[float, float]:
    """Switches and microseconds of an operator."""
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw, time.perf_counter()
    for _ in range(number):
        x.add_(1)
    took = (time.perf_counter() - began) / number
    return (resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before) / number, 1e6 * took


measured(200)
seen, took = measured(5000)
print(f"{beside}: {seen:.1f} switches an operator, {took:.0f} microseconds")
assert seen > 0.5 if beside in ("loads", "told") else seen < 0.05
PY
done
