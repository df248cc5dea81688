r"""Flow matching on latents.

$x_t = (1 - t) x_0 + t \epsilon$, velocity $v = \epsilon - x_0$, loss $\| v_\theta(x_t, 1000 t) - v \|^2$
(Wan2.1; APT2 section 3.1 uses the same convention). t = 0 is data, t = 1 is noise.

Times are float32 and so is what is computed from them, whatever the network computes in: bfloat16 knows 0.996 and 1.0 and
nothing between, and six pairs of APT2's grid of 32 would be one time twice. The network rounds what it is given.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from omnihuman.conditions.inputs import ConditionInputs


def sample_timesteps(uniform: Tensor, law: str, shift: float) -> Tensor:
    """Turn `(B,)` uniform draws into timesteps in (0, 1).

    Args:
        uniform: in (0, 1).
        law: "uniform", or "logit_normal": the sigmoid of a standard normal (Stable Diffusion 3 section 3.1).
        shift: `s t / (1 + (s - 1) t)` afterwards; 1 leaves t as it is.
    """
    t = uniform.clamp(1e-5, 1 - 1e-5)
    if law == "logit_normal":
        t = torch.sigmoid(torch.special.ndtri(t))
    elif law != "uniform":
        raise ValueError(f"timestep law is 'uniform' or 'logit_normal', got {law!r}")
    return shift_timestep(t, shift)


def shift_timestep(t: Tensor, s: float) -> Tensor:
    r"""$\mathrm{shift}(t, s) = s t / (1 + (s - 1) t)$ for t in [0, 1] (APT section 4.3: s = 1 images, 12 videos).

    Raises:
        ValueError: t outside [0, 1]; on a 0..1000 scale the formula pushes everything to 1.
    """
    if bool((t < 0).any()) or bool((t > 1).any()):
        raise ValueError("shift_timestep takes t in [0, 1]; divide a 0..1000 timestep by 1000 first")
    return s * t / (1 + (s - 1) * t)


def interpolate(x_0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t for data `x_0`, noise of the same shape `(B, ...)` and t `(B,)` float32, which x_t then is at least."""
    weight = t.view(-1, *[1] * (x_0.ndim - 1))
    return (1 - weight) * x_0 + weight * noise


def velocity_target(x_0: Tensor, noise: Tensor) -> Tensor:
    """v = noise - x_0, the derivative of `interpolate` by t."""
    return noise - x_0


def euler_step(x_t: Tensor, velocity: Tensor, t: Tensor, t_next: Tensor) -> Tensor:
    """x at `t_next` along a straight line: x_t + (t_next - t) v; both times `(B,)` float32, and x then at least."""
    return x_t + (t_next - t).view(-1, *[1] * (x_t.ndim - 1)) * velocity


@torch.no_grad()
def trajectory_end(
    model: Callable[..., Any], noise: Tensor, conditions: ConditionInputs, steps: int, shift: float = 1.0
) -> Tensor:
    """Latents after `steps` Euler steps, without guidance, from `(B, C, F, h, w)` float32 noise at t = 1 to t = 0."""
    x, grid = noise, shift_timestep(torch.linspace(1, 0, steps + 1), shift).to(noise.device)
    for now, then in zip(grid[:-1], grid[1:], strict=True):
        t, t_next = now.expand(len(x)), then.expand(len(x))
        x = euler_step(x, model(x, t * 1000, return_dict=False, **conditions)[0], t, t_next)
    return x


def per_sample_loss(velocity: Tensor, x_0: Tensor, noise: Tensor) -> Tensor:
    """`(B,)` mean squared velocity error."""
    return (velocity.float() - velocity_target(x_0, noise).float()).square().flatten(1).mean(dim=1)
