"""`python -m benchmarks.training.orthogonalisation`: a training step with DeepSpeed's own Muon and with ours, in CPU seconds, and how far losses part.

The laptop's stage 3 in plain torch, twice from the same weights, on random features of its shapes, the same batch for both; steps alternate, and so does
who goes first. CPU seconds of this process, because other work on the machine does not blur them as it blurs a clock.
"""

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from deepspeed.runtime.zero.muon import muon_optimizer, original_muon

from benchmarks.training.plain_engine import PlainEngine, awake
from benchmarks.training.process_group import start_alone
from benchmarks.training.snapshot import write_snapshot
from profiles import load_profile
from training.data.loader import SnapshotData
from training.engine.orthogonalisation import deepspeeds_update, muon_update
from training.stages.flow_matching_step import optimizer_step
from training.stages.model import build_transformer

WAYS = {"DeepSpeed's": deepspeeds_update, "ours": muon_update}


@dataclass
class Measured:
    """CPU seconds by way, of whole steps and of Muon's part of them, and losses by way."""

    steps: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    updates: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    losses: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def parted(self) -> list[float]:
        """By step, the relative difference of the losses."""
        first, second = self.losses.values()
        return [abs(b / a - 1) for a, b in zip(first, second, strict=True)]


def measure(steps: int) -> Measured:
    """Take `steps` steps in each way; in float32 as on a processor without bfloat16."""
    original_muon.ns_compute_dtype = lambda ns_method="gram": torch.float32
    profile, measured = load_profile("laptop"), Measured()
    stage = profile.stage_3
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_snapshot(root, profile)
        start_alone()
        data = SnapshotData(
            root / "snapshot", root / "features", profile, stage.subset, stage.seed, stage.batch_size, stage.ratios
        )
        engines = {way: PlainEngine(awake(build_transformer(profile, None, 0)), stage.optimizer) for way in WAYS}
        for step in range(steps):
            batch = data.batch(step)
            for way in list(WAYS)[:: 1 if step % 2 else -1]:
                took: list[float] = []
                original_muon.muon_update = muon_optimizer.muon_update = _timed(WAYS[way], took)
                started = time.process_time()
                loss = optimizer_step(engines[way], batch, stage).loss
                measured.steps[way].append(time.process_time() - started)
                measured.updates[way].append(sum(took))
                measured.losses[way].append(loss)
    return measured


def _timed(update: Any, took: list[float]) -> Any:
    def timed(*given: Any, **named: Any) -> Any:
        started = time.process_time()
        made = update(*given, **named)
        took.append(time.process_time() - started)
        return made

    return timed


def main() -> None:
    """Print medians, their ratios and the losses' differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=16)
    found = measure(parser.parse_args().steps)
    print(
        f"| CPU seconds, median of {len(found.parted)} | {' | '.join(WAYS)} | ours / DeepSpeed's |\n| --- | ---: | ---: | ---: |"
    )
    for name, seconds in (("a step of stage 3", found.steps), ("of it Muon's updates", found.updates)):
        medians = [statistics.median(seconds[way][1:]) for way in WAYS]  # the first step also allocates
        print(f"| {name} | {' | '.join(f'{median:.3f}' for median in medians)} | {medians[1] / medians[0]:.3f} |")
    print("losses part by, relative, step by step: " + ", ".join(f"{off:.1e}" for off in found.parted))


if __name__ == "__main__":
    main()
