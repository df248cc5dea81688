"""`python -m benchmarks.training.plan`: `omnihuman plan`'s memory and time for cut-down sizes, against trainings that then run on this CPU.

Each row is a process of its own that trains a few steps by the product's own engine, step and average, and reads from the kernel how far
its resident memory rose. Time is processor time of one thread, in turns with the size `reference`, and the median of the ratios counts: so
neighbours count little. On a processor a step's time goes by FLOPs and, for all that is no matrix product, by the bytes that are read and
written (each tensor is fresh pages here, so that memory can be told); from the sizes `narrow` and `reference` it is taken how much goes by
which, and the other sizes are predicted by that.
"""

import argparse
import gc
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from profiles import Profile, load_profile
from profiles.schema import AdversarialConfig
from training.data.batch import Batch
from training.distillation.discriminator import DEPTHS, Discriminator
from training.distillation.updates import discriminator_step, draw_parts, generator_step
from training.engine.deepspeed_engine import build_engine
from training.engine.ema import ExponentialMovingAverage
from training.plan.passes import largest_bucket
from training.plan.stand_ins import fake_batch
from training.plan.training_plan import TrainingPlan, plan_training
from training.stages.flow_matching_step import optimizer_step
from training.stages.model import build_transformer

SAMPLES = 2
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}
SHAPE = {
    "narrow": (3, 4, 1024),
    "reference": (3, 7, 1792),
    "small": (3, 6, 1536),
    "medium": (5, 8, 2048),
    "large": (7, 10, 2560),
}
SETTINGS = {
    "kept, ZeRO 0": ["engine.activation_checkpointing=false", "engine.zero_stage=0"],
    "twice, ZeRO 2": ["engine.activation_checkpointing=true", "engine.zero_stage=2"],
}


@dataclass(frozen=True)
class Row:
    """One training that is predicted and measured."""

    size: str
    setting: str
    section: str = "stage_3"

    @property
    def kind(self) -> str:
        """Training and setting, in a word each."""
        return f"{self.section}: {self.setting}"

    @property
    def profile(self) -> Profile:
        """wan2.1-1.3b, cut down to a second on one core."""
        return self._cut_to(*SHAPE[self.size])

    @property
    def smallest(self) -> Profile:
        """The same code in next to no memory; a discriminator has as many layers as heads."""
        return self._cut_to(1 if self.section == "stage_3" else len(DEPTHS["apt"]), 1, 64)

    def _cut_to(self, layers: int, heads: int, ffn: int) -> Profile:
        cut = [f"transformer.num_layers={layers}", f"transformer.num_attention_heads={heads}"]
        cut += ["transformer.attention_head_dim=64", f"transformer.ffn_dim={ffn}", "transformer.base=null"]
        cut += ["transformer.text_dim=256", "encoders.text_tokens=64", "transformer.audio_layers=4"]
        cut += ["encoders.audio_states=null"]
        cut += ["video.height=128", "video.width=128", "video.frames=17", "video.buckets=[]"]
        cut += ["engine.ranks=1", "engine.precision=fp32", f"engine.micro_batch={SAMPLES}"]
        cut += [f"{self.section}.batch_size={SAMPLES}", *SETTINGS[self.setting]]
        if self.section != "stage_3":
            cut += [f"{self.section}.micro_batch={SAMPLES}"]
        return load_profile("wan2.1-1.3b", cut)


CALIBRATING = ("narrow", "reference")
ROWS = [Row(size, setting) for setting in SETTINGS for size in SHAPE]
ROWS += [Row(size, "twice, ZeRO 2", "adversarial_videos") for size in ("small", "medium")]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="steps of each size, in turn with the reference's")
    parser.add_argument("--rows", nargs="+", choices=sorted({row.kind for row in ROWS}), help="trainings; default all")
    arguments = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, "-m", __spec__.name, *sys.argv[1:]], os.environ | ALLOCATOR)
    torch.set_num_threads(1)
    import deepspeed  # noqa: F401 - once, for all rows are forked from here

    print(
        f"{'training':<36} {'size':<10} {'GiB said':>9} {'measured':>9} {'off':>6}   {'s said':>7} {'measured':>9} {'off':>6}"
    )
    for kind in dict.fromkeys(row.kind for row in ROWS):
        rows = [row for row in ROWS if row.kind == kind and row.size not in CALIBRATING]
        if kind in (arguments.rows or [kind]):
            narrow, reference = (Row(size, rows[0].setting, rows[0].section) for size in CALIBRATING)
            machine = calibrate(narrow, reference, arguments.rounds)
            for row in rows:
                print(_line(row, reference, machine, arguments.rounds), flush=True)


@dataclass(frozen=True)
class Machine:
    """A processor: which share of the reference's time goes by FLOPs; the rest goes by bytes that are read and written."""

    by_flops: float

    def ratio(self, one: TrainingPlan, reference: TrainingPlan) -> float:
        """How many times as long as the reference a training takes."""
        flops = sum(one.flops.values()) / sum(reference.flops.values())
        return self.by_flops * flops + (1 - self.by_flops) * one.moved / reference.moved


def calibrate(narrow: Row, reference: Row, rounds: int) -> Machine:
    """From two sizes: what the narrow one takes more than its FLOPs say is time by bytes."""
    # Planned first: what planning imports is then in every fork, and counts as there before.
    one, basis = (plan_training(row.profile, row.section, 1) for row in (narrow, reference))
    ratio, _, _, seconds = _in_turns(narrow, reference, rounds)
    flops, moved = sum(one.flops.values()) / sum(basis.flops.values()), one.moved / basis.moved
    share = min(max((moved - ratio) / (moved - flops), 0.0), 1.0)
    rate, width = sum(basis.flops.values()) / (share * seconds or 1), basis.moved / ((1 - share) * seconds or 1)
    print(
        f"# {reference.kind}: narrow takes {ratio:.3f} of the time of the reference, {share:.0%} of {seconds:.2f} s by FLOPs, {rate / 1e9:.0f} GFLOP/s, the rest by bytes, {width / 1e9:.1f} GB/s"
    )
    return Machine(share)


def _in_turns(row: Row, reference: Row, rounds: int) -> tuple[float, float, float, float]:
    """Median ratio of seconds, bytes at the peak, median seconds of both."""
    with Running(reference) as slow, Running(row) as trained:
        turns = [(slow.step(), trained.step()) for _ in range(rounds)]
        peak = trained.peak()
    ratio = statistics.median(own / other for other, own in turns)
    return ratio, peak, statistics.median(own for _, own in turns), statistics.median(other for other, _ in turns)


def _line(row: Row, reference: Row, machine: Machine, rounds: int) -> str:
    said, basis = (plan_training(one.profile, one.section, 1) for one in (row, reference))
    ratio, peak, seconds, unit = _in_turns(row, reference, rounds)
    expected = machine.ratio(said, basis)
    memory = f"{said.peak / 2**30:>9.3f} {peak / 2**30:>9.3f} {said.peak / peak - 1:>+6.1%}"
    speed = f"{expected * unit:>7.2f} {seconds:>9.2f} {expected / ratio - 1:>+6.1%}"
    return f"{row.kind:<36} {row.size:<10} {memory}   {speed}"


class Running:
    """A training in a fork of this process, which has imported everything and built nothing; it takes a step when it is told to."""

    def __init__(self, row: Row):
        self.row = row

    def __enter__(self) -> "Running":
        ask, self._ask = os.pipe()
        self._answer, answer = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            code = 1
            try:
                os.close(self._ask)
                _serve(self.row, ask, answer)
                code = 0
            except BaseException:  # noqa: BLE001 - a fork ends here, and says why
                traceback.print_exc()
            finally:
                os._exit(code)
        os.close(ask)
        os.close(answer)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._ask)
        os.waitpid(self._child, 0)
        os.close(self._answer)

    def _asked(self, what: bytes) -> float:
        os.write(self._ask, what)
        said = os.read(self._answer, 64)
        if not said:
            raise RuntimeError(f"{self.row} ended")
        return float(said)

    def step(self) -> float:
        """Take one; processor seconds."""
        return self._asked(b"s")

    def peak(self) -> float:
        """Bytes by which the steps' peak lies above what was there before the networks."""
        return self._asked(b"p")


def _serve(row: Row, ask: int, answer: int) -> None:
    from benchmarks.training.process_group import start_alone

    start_alone()
    _trainer(row.smallest, row.section)()  # libraries are mapped page by page as they are first used, and count
    gc.collect()
    before = _status("VmRSS")
    step = _trainer(row.profile, row.section)
    step()  # the optimiser's moments are made
    Path("/proc/self/clear_refs").write_text("5")
    while what := os.read(ask, 1):
        started = time.process_time()
        if what == b"s":
            step()
        number = time.process_time() - started if what == b"s" else float(_status("VmHWM") - before)
        os.write(answer, str(number).encode())


def _trainer(profile: Profile, section: str) -> Callable[[], object]:
    config = getattr(profile, section)
    if isinstance(config, AdversarialConfig):
        return _adversaries(profile, config)
    model = build_transformer(profile, None, 0)
    if profile.engine.activation_checkpointing:
        model.enable_gradient_checkpointing()
    engine = build_engine(model, config.optimizer, profile.engine, config.batch_size)
    average, batch = ExponentialMovingAverage(model, 0.99), _batch(profile, config)

    def step() -> None:
        optimizer_step(engine, batch, config)
        average.update()

    return step


def _adversaries(profile: Profile, config: AdversarialConfig) -> Callable[[], object]:
    networks = [build_transformer(profile, None, 0) for _ in range(2)]
    for network in networks if profile.engine.activation_checkpointing else ():
        network.enable_gradient_checkpointing()
    engine = profile.engine.model_copy(update={"gradient_clipping": 0.0})
    discriminator = Discriminator(networks[1], config.heads)
    g_engine = build_engine(networks[0], config.generator, engine, config.batch_size)
    d_engine = build_engine(discriminator, config.discriminator, engine, config.batch_size)
    average, batch = ExponentialMovingAverage(networks[0], 0.99), _batch(profile, config)

    def step() -> None:
        for update in (discriminator_step, generator_step):
            update(g_engine, d_engine, draw_parts(batch, config, 1), config)
        average.update()

    return step


def _batch(profile: Profile, config: Any) -> Batch:
    batch = fake_batch(profile, largest_bucket(profile), SAMPLES, config.ratios, torch.float32)
    for name, value in vars(batch).items():
        if isinstance(value, torch.Tensor):
            value.fill_(1.0) if name.endswith("mask") else value.uniform_()
    return batch


def _status(name: str) -> int:
    """Bytes of a line of /proc/self/status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
