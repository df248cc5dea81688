"""One optimiser step of flow matching, and its loss for each condition set."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from profiles.conditions import CONDITIONS
from profiles.schema import StageConfig
from training.data.batch import Batch
from training.data.conditions import Conditions
from training.data.micro_batches import split_batch
from training.data.rank_batch import RankBatch
from training.engine.deepspeed_engine import backward, compute_dtype, take_step
from training.flow_matching import interpolate, mouth_weights, per_sample_loss, sample_timesteps

# Every condition set, nested or not, in one order for all ranks.
LABELS = tuple(dict.fromkeys(Conditions(*on).label for on in product((False, True), repeat=len(CONDITIONS))))


@dataclass(frozen=True)
class StageLosses:
    """Mean loss over the optimiser step's global batch, the same for each condition set in it, and the gradient norm
    before clipping."""

    loss: float
    by_label: dict[str, float]
    gradient_norm: float

    def row(self) -> dict[str, float]:
        """For the curve."""
        return {
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            **{f"loss/{label}": v for label, v in self.by_label.items()},
        }


def optimizer_step(engine: Any, batch: Batch | RankBatch, stage: StageConfig) -> StageLosses:
    """One optimiser step over all accumulation micro-steps; one that is not finite is skipped on all ranks alike."""
    dtype = compute_dtype(engine)
    sums, norm = torch.zeros(2, len(LABELS), dtype=torch.float64), 0.0
    for part in split_batch(batch, engine.gradient_accumulation_steps()):
        part = part.to(engine.device, dtype)
        t = sample_timesteps(part.uniform, stage.timestep_law, stage.timestep_shift)
        each = velocity_losses(engine, part, t, stage.mouth_weight)
        backward(engine, each.mean())
        norm = take_step(engine)
        which = torch.tensor([LABELS.index(label) for label in part.labels])
        sums.index_add_(
            1, which, torch.stack([each.detach().double().cpu(), torch.ones(len(which), dtype=torch.float64)])
        )
    return _losses(sums, norm, engine.device)


def velocity_losses(engine: Any, part: Batch, t: Tensor, mouth_weight: float = 1.0) -> Tensor:
    """`(B,)` flow matching losses of samples that lie on the engine's device, at t `(B,)` float32 in (0, 1); a cell that shows the mouth weighs
    `mouth_weight` times another."""
    x_t = interpolate(part.latents, part.noise, t)
    velocity = engine(x_t, t * 1000, return_dict=False, **part.conditions())[0]
    weights = None
    if mouth_weight != 1:
        assert part.lips is not None, "the loader of a stage that weighs mouths reads where they are"
        weights = mouth_weights(part.lips, part.latents.shape[2:], part.stride, mouth_weight)
    return per_sample_loss(velocity, part.latents, part.noise, weights)


def _losses(sums: Tensor, norm: float, device: torch.device) -> StageLosses:
    """Add up `(2, labels)` losses and counts over all ranks."""
    sums = sums.to(device)
    torch.distributed.all_reduce(sums)
    total, count = sums.cpu()
    present = [i for i in range(len(LABELS)) if count[i] > 0]
    return StageLosses(float(total.sum() / count.sum()), {LABELS[i]: float(total[i] / count[i]) for i in present}, norm)
