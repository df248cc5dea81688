"""Videos that the streaming student makes of itself while it is trained: from its own past, beyond its window, and from a spoiled past.

A clip of training is one window. What follows it goes on with the clip's own conditions from its second latent on, again and again:
what is said repeats, who says it goes on. A later window's latents are all of four frames, and are held against the clip's of that kind.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.streaming.attention import Memory
from omnihuman.streaming.conditions import first_frame_heard, frames_around


@dataclass(frozen=True)
class Window:
    """A part of a video that is trained on.

    Attributes:
        round: 0 is the clip's own window, later ones follow it.
        clip: latents of the clip.
    """

    round: int
    clip: int

    @property
    def start(self) -> int:
        """Number of its first latent in the video."""
        return 0 if self.round == 0 else self.clip + (self.round - 1) * (self.clip - 1)

    @property
    def latents(self) -> int:
        """How many it has."""
        return self.clip if self.round == 0 else self.clip - 1

    @property
    def stop(self) -> int:
        """The end of the video."""
        return self.start + self.latents

    @property
    def of_clip(self) -> int:
        """The clip's latent with which its first is held together: of one frame, or of four."""
        return 0 if self.round == 0 else 1


def frame_of_clip(frame: int, frames: int) -> int:
    """Which frame of a clip stands for a frame of the video that repeats it from its second frame on."""
    return frame if frame < frames else 1 + (frame - 1) % (frames - 1)


def inputs_at(
    conditions: ConditionInputs, start: int, count: int, stop: int, lookahead: int, stride: int = 4
) -> ConditionInputs:
    """What latents `start` and on are given.

    Args:
        conditions: of a clip.
        start, count: which latents of the video that repeats it.
        stop: how many latents the video has; nothing is heard of what would follow.
        lookahead: video frames of sound.
        stride: frames of a latent.
    """
    changes: dict[str, Any] = {}
    if conditions.audio is not None:
        last = min(stride * (start + count - 1) + lookahead, stride * (stop - 1))
        frames = conditions.audio.shape[1]
        rows = [frame_of_clip(frame, frames) for frame in range(first_frame_heard(start, stride), last + 1)]
        changes["audio"] = conditions.audio[:, rows]
    if conditions.pose is not None:
        frames = conditions.pose.shape[2]
        rows = [frame_of_clip(frame, frames) for frame in frames_around(start, count, stop - 1, stride)]
        changes["pose"] = conditions.pose[:, :, rows]
    if start:
        changes |= {"reference": None, "reference_mask": None}
    return replace(conditions, **changes)


@dataclass(frozen=True)
class Rollout:
    """What the student made of itself, without gradients.

    Attributes:
        past: `(B, C, m, h, w)`: what the latents of the last window go on from, as `CausalTransformer` takes it.
        memory: what the passes before that window left.
        latents: `(B, C, n, h, w)` of that window.
    """

    past: Tensor
    memory: Memory
    latents: Tensor


@torch.no_grad()
def roll_out(model: Any, noise: Tensor, conditions: ConditionInputs, window: Window) -> Rollout:
    """Make a video latent by latent from its own past, up to the end of `window`.

    Args:
        model: a `CausalTransformer`.
        noise: `(B, C, window.stop, h, w)`.
        conditions: of the clip.
    """
    lookahead, memory, made = model.streaming.lookahead, Memory(), []
    stride = model.transformer.temporal_stride
    kept = memory
    past = noise[:, :, :0]
    for latent in range(window.stop):
        if latent == window.start:
            kept = memory
        given = inputs_at(conditions, latent, 1, window.stop, lookahead, stride)
        past, memory = model(noise[:, :, latent : latent + 1], past, given, latent, memory)
        made.append(past)
    first = max(0, window.start - 1)
    whole = torch.cat(made, dim=2)
    return Rollout(whole[:, :, first:-1], kept, whole[:, :, window.start :])


def whole_video(model: Any, noise: Tensor, conditions: ConditionInputs) -> Tensor:
    """The clip's own window, latent by latent; for the probe."""
    return roll_out(model, noise, conditions.without("motion"), Window(0, noise.shape[2])).latents


def disturbed(past: Tensor, which: Tensor, generator: torch.Generator) -> Tensor:
    """The past of some samples spoiled as a student's own may be: too soft, in other colours, or noisy.

    Args:
        past: `(B, C, m, h, w)`.
        which: `(B,)` bool.
        generator: decides how, and how much.
    """
    batch, channels = past.shape[:2]
    kind = torch.randint(3, (batch, 1, 1, 1, 1), generator=generator).to(past.device)
    amount = torch.rand((batch, 1, 1, 1, 1), generator=generator).to(past)
    soft = F.avg_pool3d(past, (1, 3, 3), 1, (0, 1, 1), count_include_pad=False) if past.shape[2] else past
    tint = torch.randn((batch, channels, 1, 1, 1), generator=generator).to(past)
    noise = torch.randn(past.shape, generator=generator).to(past)
    spoiled = torch.where(
        kind == 0,
        past.lerp(soft, amount),
        torch.where(kind == 1, past + 0.5 * amount * tint, past + 0.5 * amount * noise),
    )
    return torch.where(which.view(-1, 1, 1, 1, 1).to(past.device), spoiled, past)
