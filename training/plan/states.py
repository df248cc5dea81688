"""What DeepSpeed keeps beside activations: weights, gradients, optimiser, average, buffers; bytes of each rank and on its host.

By DeepSpeed 0.19's own code (`runtime/zero/stage_1_and_2.py`, `stage3.py`) under the configuration that `engine_configuration` writes;
docs/results/2026-11-29-plan.md holds it against processes that ran.
"""

from dataclasses import dataclass, fields
from typing import Any

from profiles.schema import EngineConfig, OptimizerConfig
from training.engine.deepspeed_engine import engine_configuration

# DeepSpeed's defaults, in elements.
BUCKET, LIVE, PREFETCH, SUBGROUP = 500_000_000, 1_000_000_000, 50_000_000, 1_000_000_000
FLOAT = 4


@dataclass(frozen=True)
class Counted:
    """Parameters of one engine's module: trained, of these stepped by Muon, and frozen."""

    trained: int
    by_muon: int = 0
    frozen: int = 0


@dataclass(frozen=True)
class States:
    """Bytes of one rank.

    Attributes:
        weights, gradients, optimizer, average: what stays; gradients as they are between two passes.
        buffers: for communication, and weights that ZeRO-3 has gathered.
        stepping: more than all of these while the optimiser steps, when no activation is there.
        host: in the memory of the machine.
    """

    weights: float = 0.0
    gradients: float = 0.0
    optimizer: float = 0.0
    average: float = 0.0
    buffers: float = 0.0
    stepping: float = 0.0
    host: float = 0.0

    @property
    def kept(self) -> float:
        """All but what is there while the optimiser steps."""
        return self.weights + self.gradients + self.optimizer + self.average + self.buffers

    def __add__(self, other: "States") -> "States":
        """Of two engines of one process; only one of them steps at a time."""
        summed = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return States(**summed | {"stepping": max(self.stepping, other.stepping)})


def width_of_weights(engine: EngineConfig) -> int:
    """Bytes of a weight that is trained: 2 where DeepSpeed holds the module in bfloat16."""
    configuration = engine_configuration(engine, 1, "adamw")
    return 2 if configuration.get("bf16", {}).get("enabled") else FLOAT


def autocast(engine: EngineConfig) -> bool:
    """Whether the module runs under torch's autocast."""
    return bool(engine_configuration(engine, 1, "adamw").get("torch_autocast", {}).get("enabled"))


def engine_states(
    counted: Counted, engine: EngineConfig, optimizer: OptimizerConfig, ranks: int, averaged: bool, bucket: int = BUCKET
) -> States:
    """What one engine keeps.

    Args:
        counted: its module's parameters.
        engine: ZeRO stage, precision, offload.
        optimizer: how many moments it keeps.
        ranks: all of them, those too that share a sample's tokens: DeepSpeed cuts over all.
        averaged: a moving average of its weights is kept beside it.
        bucket: elements that are reduced together.
    """
    stage, width = engine.zero_stage, width_of_weights(engine)
    trained, every = counted.trained, counted.trained + counted.frozen
    moments = 2 * FLOAT * trained - FLOAT * counted.by_muon
    if optimizer.name == "muon" and not counted.by_muon:
        raise ValueError("count what Muon steps")
    cut = ranks if stage else 1
    # Without ZeRO the weights themselves are stepped; ZeRO steps a float32 copy of its part.
    stepped = (FLOAT * trained if stage else 0) + moments
    host = 0.0
    kept = {
        "weights": width * every / (ranks if stage == 3 else 1),
        "gradients": width * trained / (ranks if stage >= 2 else 1),
        "optimizer": stepped / cut,
        "average": FLOAT * trained / (ranks if stage == 3 else 1) if averaged else 0.0,
    }
    buffers = width * min(bucket, trained) if stage else 0.0
    buffers += width * min(every, LIVE + PREFETCH) if stage == 3 and ranks > 1 else 0.0
    # The part's gradient in float32, and Adam's denominator twice (the root, and the root over its correction).
    stepping = 3 * FLOAT * min(trained / cut, SUBGROUP) if stage else _reduced(trained, ranks, bucket, width)
    if stage in (1, 2):
        # By then gradients have been copied into one piece and let go, and before that what they were added up in.
        stepping = max(0.0, stepping - kept["gradients"] - buffers)
    if engine.offload != "none":
        host += kept.pop("optimizer") + FLOAT * trained / ranks
        stepping = 0.0
    if engine.offload == "parameters":
        host += kept.pop("weights") + kept.pop("average")
    return States(**kept, buffers=buffers, stepping=stepping, host=host)


def _reduced(trained: int, ranks: int, bucket: int, width: int) -> float:
    """Gradients that are reduced together without ZeRO, copied into one piece."""
    return width * min(bucket, trained) if ranks > 1 else 0.0


def count_parameters(module: Any, optimizer: OptimizerConfig) -> Counted:
    """Of a module as it is handed to `build_engine`."""
    from training.engine.optimizer import uses_muon

    named = list(module.named_parameters())
    trained = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    muon = [p.numel() for n, p in trained if optimizer.name == "muon" and uses_muon(n, p)]
    total = sum(parameter.numel() for _, parameter in trained)
    return Counted(total, sum(muon), sum(p.numel() for _, p in named) - total)
