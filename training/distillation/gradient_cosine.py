r"""Cosine between a gradient and the one before, read off the optimiser at the moment it steps.

Every ZeRO stage ends in `step()` of the torch optimiser that was handed to DeepSpeed, over whole parameters or over this
rank's flat pieces. There the new gradient lies beside the optimiser's first moment, which is in every checkpoint: for
RMSProp (Adam with $\beta_1 = 0$) it is the previous gradient itself, for others their running mean.
"""

from typing import Any

import torch


class GradientCosine:
    """Watches one engine's optimiser."""

    def __init__(self, engine: Any):
        self._sums: torch.Tensor | None = None
        self._device = engine.device
        engine.basic_optimizer.register_step_pre_hook(self._before_step)

    @torch.no_grad()
    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        sums = torch.zeros(3, dtype=torch.float64, device=self._device)
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            state = optimizer.state.get(parameter, {})
            moment = state.get("exp_avg", state.get("momentum_buffer"))
            if parameter.grad is not None and moment is not None:
                gradient, moment = parameter.grad.flatten().float(), moment.flatten().float()
                pairs = (gradient.dot(moment), gradient.dot(gradient), moment.dot(moment))
                sums += torch.stack([pair.double() for pair in pairs]).to(sums)
        # ZeRO-3 steps once per group of parameters: one update is the sum of all calls since the last reading.
        self._sums = sums if self._sums is None else self._sums + sums

    def read(self) -> dict[str, float]:
        """`generator_gradient_cosine` of the last update; empty for the first, which has none before it."""
        sums, self._sums = self._sums, None
        if sums is None:
            return {}
        # Where ranks hold pieces this adds them; where each holds everything, all three grow alike and the cosine stays.
        torch.distributed.all_reduce(sums)
        product, square, other = sums.tolist()
        return {"generator_gradient_cosine": product / (square * other) ** 0.5} if square * other > 0 else {}
