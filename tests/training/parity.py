"""Run by `test_engine.py` on two ranks: DeepSpeed's steps against plain torch on the same global batch."""

import json
import os
import sys
from pathlib import Path

import torch

from profiles import load_profile
from tests.training.synthetic import TINY
from training.data.loader import SnapshotData
from training.engine.deepspeed_engine import build_engine, data_replicas
from training.engine.ema import ExponentialMovingAverage
from training.engine.optimizer import build_optimizer
from training.engine.process_group import start_process_group
from training.engine.sequence_parallel import share_tokens
from training.flow_matching import interpolate, per_sample_loss, sample_timesteps
from training.stages.flow_matching_step import optimizer_step
from training.stages.model import build_transformer

STEPS, BATCH = 4, 8
NO_CLIPPING = {"adamw": [], "muon": ["engine.gradient_clipping=0"]}
SPECIAL = {
    "": [],
    "shared": ["engine.ranks=2", "engine.sequence_parallel=2"],
    "offload": ["engine.offload=optimizer"],
    "all_offloaded": ["engine.offload=parameters"],
    "bf16": ["engine.precision=bf16"],
}
# diffusers counts accelerators before it splits a sequence; two processes on a CPU split it as well.
torch.accelerator.device_count = lambda: 1


def plain(profile, data, decay):
    """The same steps without DeepSpeed on one process: losses, weights, average."""
    stage = profile.stage_3
    model = build_transformer(profile, None, stage.seed)
    optimizer = build_optimizer(model.named_parameters(), stage.optimizer)
    average = ExponentialMovingAverage(model, decay)
    losses = []
    for step in range(STEPS):
        batch = data.batch(step, 0, 1)
        t = sample_timesteps(batch.uniform, stage.timestep_law, stage.timestep_shift)
        velocity = model(interpolate(batch.latents, batch.noise, t), t * 1000, return_dict=False, **batch.conditions())[
            0
        ]
        loss = per_sample_loss(velocity, batch.latents, batch.noise).mean()
        optimizer.zero_grad()
        loss.backward()
        if profile.engine.gradient_clipping:
            torch.nn.utils.clip_grad_norm_(model.parameters(), profile.engine.gradient_clipping)
        optimizer.step()
        average.update()
        losses.append(float(loss.detach()))
    return losses, average.whole()


def sharded(profile, data, decay):
    """The product's own steps on all ranks."""
    stage = profile.stage_3
    shared = profile.engine.sequence_parallel
    model = build_transformer(profile, None, stage.seed)
    if shared > 1:
        share_tokens(model, shared)
    engine = build_engine(model, stage.optimizer, profile.engine, BATCH)
    average = ExponentialMovingAverage(model, decay)
    losses = []
    for step in range(STEPS):
        result = optimizer_step(
            engine, data.batch(step, torch.distributed.get_rank() // shared, data_replicas(shared)), stage
        )
        average.update()
        losses.append(result.loss)
    return losses, average.whole()


def poisoned(profile, data):
    """One step on a batch with a NaN: whether the norm says so and the weights stayed."""
    stage = profile.stage_3
    rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
    model = build_transformer(profile, None, stage.seed)
    engine = build_engine(model, stage.optimizer, profile.engine, BATCH)
    optimizer_step(engine, data.batch(0, rank, ranks), stage)
    before = ExponentialMovingAverage(model, 0.0).whole()
    batch = data.batch(1, rank, ranks)
    if rank == 1:
        batch.latents[0, 0] = float("nan")
    norm = optimizer_step(engine, batch, stage).gradient_norm
    after = ExponentialMovingAverage(model, 0.0).whole()
    optimizer_step(engine, data.batch(2, rank, ranks), stage)
    later = ExponentialMovingAverage(model, 0.0).whole()
    return {
        "norm": str(norm),
        "unchanged": all(before[n].equal(after[n]) for n in before),
        "moves_again": any(not after[n].equal(later[n]) for n in after),
        "finite": all(bool(w.isfinite().all()) for w in later.values()),
    }


def distance(first, second, start):
    """Length of the difference of all weights over the length of the way that training went.

    Weight by weight there is no comparison: where a gradient is nothing but rounding, Adam's step has any sign.
    """
    apart = sum(float((first[n] - second[n]).square().sum()) for n in second)
    way = sum(float((second[n] - start[n]).square().sum()) for n in second)
    return (apart / way) ** 0.5


def main(root: Path, cases: list[str], report: Path) -> None:
    start_process_group()
    rows = []
    for case in cases:
        optimizer, zero, accumulation, special = (*case.split("-"), "")[:4]
        rates = {"adamw": "{name: adamw, lr: 0.001}", "muon": "{name: muon, lr: 0.02, adam_lr: 0.001}"}[optimizer]
        profile = load_profile(
            "laptop",
            [
                *TINY,
                f"stage_3.optimizer={rates}",
                f"engine.zero_stage={zero}",
                f"engine.gradient_accumulation={accumulation}",
                *NO_CLIPPING[optimizer],
                *SPECIAL[special],
            ],
        )
        data = SnapshotData(root / "snapshot", root / "features", profile, "text", 0, BATCH, profile.stage_3.ratios)
        start = ExponentialMovingAverage(build_transformer(profile, None, profile.stage_3.seed), 0.0).whole()
        expected, weights = plain(profile, data, 0.5)
        losses, average = sharded(profile, data, 0.5)
        rows.append(
            {
                "case": case,
                "expected": expected,
                "losses": losses,
                "distance": average and distance(average, weights, start),
            }
        )
        if special in ("", "bf16"):
            rows[-1]["poisoned"] = poisoned(profile, data)
    if int(os.environ["RANK"]) == 0:
        report.write_text(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[3].split(","), Path(sys.argv[2]))
