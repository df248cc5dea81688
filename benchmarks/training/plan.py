"""`python -m benchmarks.training.plan`: `omnihuman plan`'s memory and time for cut-down sizes, against trainings that then run on this CPU.

Each row is a process of its own that trains a few steps by the product's own engine, step and average, and reads from the kernel how far
its resident memory rose. Time is processor time of one thread, so that neighbours count little; from the size `reference` it is taken how
many FLOPs this processor does in a second, and the other sizes are predicted by that.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from profiles import Profile, load_profile
from profiles.schema import AdversarialConfig
from training.data.batch import Batch
from training.distillation.discriminator import Discriminator
from training.distillation.updates import discriminator_step, draw_parts, generator_step
from training.engine.deepspeed_engine import build_engine
from training.engine.ema import ExponentialMovingAverage
from training.plan.passes import largest_bucket
from training.plan.stand_ins import fake_batch
from training.plan.training_plan import plan_training
from training.stages.flow_matching_step import optimizer_step
from training.stages.model import build_transformer

MIB, STEPS, SAMPLES = 2**20, 3, 2
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0", "MALLOC_ARENA_MAX": "1"}
SHAPE = {"reference": (3, 7, 1792), "small": (3, 6, 1536), "medium": (5, 8, 2048), "large": (7, 10, 2560)}
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
    def profile(self) -> Profile:
        """wan2.1-1.3b, cut down to a second on one core."""
        layers, heads, ffn = SHAPE[self.size]
        cut = [f"transformer.num_layers={layers}", f"transformer.num_attention_heads={heads}"]
        cut += ["transformer.attention_head_dim=64", f"transformer.ffn_dim={ffn}", "transformer.base=null"]
        cut += ["transformer.text_dim=256", "encoders.text_tokens=64", "transformer.audio_layers=4"]
        cut += ["video.height=128", "video.width=128", "video.frames=17", "video.buckets=[]"]
        cut += ["engine.ranks=1", "engine.precision=fp32", f"engine.micro_batch={SAMPLES}"]
        cut += [f"{self.section}.batch_size={SAMPLES}", *SETTINGS[self.setting]]
        if self.section != "stage_3":
            cut += [f"{self.section}.micro_batch={SAMPLES}"]
        return load_profile("wan2.1-1.3b", cut)


ROWS = [Row(size, setting) for setting in SETTINGS for size in SHAPE]
ROWS += [Row(size, "twice, ZeRO 2", "adversarial_videos") for size in ("small", "medium")]


def main() -> None:
    """Print the table."""
    if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, "-m", __spec__.name], os.environ | ALLOCATOR)
    torch.set_num_threads(1)
    import deepspeed  # noqa: F401 - once, for all rows are forked from here

    rates: dict[tuple[str, str], float] = {}
    print(
        f"{'training':<20} {'setting':<14} {'size':<10} {'GiB said':>9} {'measured':>9} {'off':>6}   {'s said':>7} {'measured':>9} {'off':>6}"
    )
    for row in ROWS:
        measured = _in_a_process(lambda row=row: measure(row))
        planned = plan_training(row.profile, row.section, 1)
        executed, kind = sum(planned.flops.values()), (row.setting, row.section)
        rates.setdefault(kind, executed / measured["seconds"])
        said = executed / rates[kind]
        memory = f"{planned.peak / 2**30:>9.3f} {measured['bytes'] / 2**30:>9.3f} {planned.peak / measured['bytes'] - 1:>+6.1%}"
        speed = f"{said:>7.2f} {measured['seconds']:>9.2f} {said / measured['seconds'] - 1:>+6.1%}"
        print(f"{row.section:<20} {row.setting:<14} {row.size:<10} {memory}   {speed}", flush=True)


def measure(row: Row) -> dict[str, float]:
    """Train: bytes by which the peak lies above what was there before the networks, and processor seconds of a step."""
    from benchmarks.training.process_group import start_alone

    start_alone()
    torch.randn(64, 64) @ torch.randn(64, 64)
    before = _status("VmRSS")
    step = _trainer(row.profile, row.section)
    step()  # the optimiser's moments are made
    Path("/proc/self/clear_refs").write_text("5")
    seconds = []
    for _ in range(STEPS):
        started = time.process_time()
        step()
        seconds.append(time.process_time() - started)
    return {"bytes": float(_status("VmHWM") - before), "seconds": min(seconds)}


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


def _in_a_process(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `work` returns in a fork of this process, which has imported everything and built nothing."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        child = os.fork()
        if child == 0:
            code = 1
            try:
                answer.write_text(json.dumps(work()))
                code = 0
            finally:
                os._exit(code)
        os.waitpid(child, 0)
        return dict(json.loads(answer.read_text()))


if __name__ == "__main__":
    main()
