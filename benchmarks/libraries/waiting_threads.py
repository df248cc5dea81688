"""How long the threads of an operator wait for one another in a busy loop: a step of the laptop profile's size on two threads, alone and beside other work.

`python -m benchmarks.libraries.waiting_threads [--beside 0 4] [--other-thread none one all]`; libgomp reads its variables when torch is imported, so each
turn is a process of its own. With another thread, that one has run an operator before, on one thread of torch's or on all, and does nothing since.
"""

import argparse
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median

from assets.core.markdown import markdown_table

WAYS: dict[str, dict[str, str]] = {
    "libgomp's own": {},
    "GOMP_SPINCOUNT=10000": {"GOMP_SPINCOUNT": "10000"},
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
}
STEPS, THREADS = 6, 2
OTHERS = {"none": 0, "one": 1, "all": THREADS}  # threads of torch's that the other thread of the program has


def measure(other: int) -> None:
    """Print wall and CPU seconds of a forward and a backward pass of 16 samples, beside a thread whose operators run on `other` threads."""
    import torch

    from benchmarks.training import adversarial
    from training.distillation.one_step import one_step

    idle = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(other,))
    if other:
        idle.submit(lambda: torch.zeros(2**20).add_(1)).result()
    torch.set_num_threads(THREADS)
    model, batch = adversarial.laptop_model(), adversarial.laptop_batch(16)
    conditions = batch.conditions()
    one_step(model, batch.noise, conditions).square().mean().backward()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(STEPS):
        model.zero_grad()
        one_step(model, batch.noise, conditions).square().mean().backward()
    print((time.perf_counter() - wall) / STEPS, (time.process_time() - cpu) / STEPS)


@contextmanager
def busy(number: int) -> Iterator[None]:
    """So many processes that compute without end."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def turn(way: str, other: str) -> tuple[float, float]:
    """Wall and CPU seconds of one process that waits so."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = f"from {__spec__.name} import measure; measure({OTHERS[other]})"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=kept | WAYS[way],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    wall, cpu = map(float, done.stdout.split())
    return wall, cpu


def main() -> None:
    """Print a row for each way to wait beside each number of other processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=int, nargs="+", default=[0, 4], help="processes that compute all the time")
    parser.add_argument("--turns", type=int, default=3, help="of each way, in turns")
    parser.add_argument(
        "--other-thread", nargs="+", choices=OTHERS, default=["none"],
        help="torch's threads of another thread of the program",
    )  # fmt: skip
    options = parser.parse_args()
    rows = []
    for number, other in itertools.product(options.beside, options.other_thread):
        with busy(number):
            turns = [{way: turn(way, other) for way in WAYS} for _ in range(options.turns)]
        for way in WAYS:
            wall, cpu = (median(found[way][place] for found in turns) for place in (0, 1))
            rows.append(
                {
                    "busy processes beside it": number,
                    "another thread computes on": other,
                    "threads wait": way,
                    "wall s": f"{wall:.3f}",
                    "CPU s": f"{cpu:.3f}",
                }
            )
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
