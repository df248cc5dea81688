r"""Flow matching on latents.

$x_t = (1 - t) x_0 + t \epsilon$, velocity $v = \epsilon - x_0$, loss $\| v_\theta(x_t, 1000 t) - v \|^2$
(Wan2.1; APT2 section 3.1 uses the same convention). t = 0 is data, t = 1 is noise.

Times are float32 and so is what is computed from them, whatever the network computes in: bfloat16 knows 0.996 and 1.0 and
nothing between, and six pairs of APT2's grid of 32 would be one time twice. The network rounds what it is given.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.conditions.pose import CONFIDENT
from omnihuman.latents import fold_frames_into_latents


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


def per_sample_loss(velocity: Tensor, x_0: Tensor, noise: Tensor, weights: Tensor | None = None) -> Tensor:
    """`(B,)` mean squared velocity error; `weights` `(B, 1, F, h, w)` say what a cell counts."""
    squares = (velocity.float() - velocity_target(x_0, noise).float()).square()
    return (squares if weights is None else squares * weights).flatten(1).mean(dim=1)


def mouth_weights(lips: Tensor, cells: Sequence[int], stride: int, weight: float) -> Tensor:
    """What each latent cell counts where those that show the mouth count `weight` times as much as the others; 1 on average over a sample.

    Args:
        lips: `(B, T, points, 3)` x, y in pixels, confidence; the mouth is the box around those that are seen, and nowhere where fewer than half are.
        cells: F, h, w of the latents; `T = 1 + s (F - 1)`, and a cell shows the mouth if one of its s frames does.
        stride: pixels of a cell.
        weight: 1 or more.

    Returns:
        `(B, 1, F, h, w)` float32.
    """
    frames, height, width = cells
    seen = lips[..., 2] >= CONFIDENT
    place, there = lips[..., :2].float(), seen.float().mean(dim=-1) >= 0.5
    far = torch.full_like(place, torch.inf)
    low = torch.where(seen[..., None], place, far).amin(dim=2)
    high = torch.where(seen[..., None], place, -far).amax(dim=2)
    shown = there[..., None, None]
    for axis, count, shape in ((1, height, (-1, 1)), (0, width, (1, -1))):
        edges = stride * torch.arange(count, device=lips.device)
        met = (edges + stride > low[..., axis, None]) & (edges <= high[..., axis, None])
        shown = shown & met.view(*met.shape[:2], *(count if side < 0 else 1 for side in shape))
    times = (lips.shape[1] - 1) // max(1, frames - 1) if frames > 1 else 1
    of_latents = fold_frames_into_latents(shown, 1, times).any(dim=2)
    weights = 1 + (weight - 1) * of_latents[:, None].float()
    return weights / weights.mean(dim=(1, 2, 3, 4), keepdim=True)
