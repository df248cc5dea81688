"""What a training step reads: one rank's samples of one batch, and which of their conditions are on."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.conditions.pose import render_heatmaps
from training.data.conditions import Conditions

# bfloat16 would round times, what is interpolated by them, and pixels.
EXACT = ("latents", "noise", "uniform", "keypoints", "lips")
# What decides which tokens there are stays on the processor: counted on a GPU it would have the processor wait for all that is queued there.
COUNTED = ("reference_mask", "motion_mask")


@dataclass(frozen=True)
class SampleDraw:
    """One sample of a batch: which it is, what it may train with and what it trains with.

    Attributes:
        clip_id: the clip it was cut from.
        shard, bucket, row: where its features stand.
        image: it trains as its first frame alone.
        eligible, on: conditions that it may have and that it has.
        motion_eligible, motion: whether there are frames before its window, and whether they are shown.
        reference_outside: whether its reference frame lies outside its window.
        uniform: in [0, 1), decides its timestep.
        noise_seed: decides its noise.
    """

    clip_id: str
    shard: str
    bucket: str
    row: int
    image: bool
    eligible: Conditions
    on: Conditions
    motion_eligible: bool
    motion: bool
    reference_outside: bool
    uniform: float
    noise_seed: int


class OfSamples:
    """What a batch says of its samples, whether it is loaded or not."""

    samples: tuple[SampleDraw, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Each sample's condition set."""
        return tuple(sample.on.label for sample in self.samples)

    @property
    def clip_ids(self) -> tuple[str, ...]:
        """For errors: whom a bad step was computed from."""
        return tuple(sample.clip_id for sample in self.samples)

    @property
    def bucket(self) -> str:
        """The name of the bucket that all samples are in."""
        return self.samples[0].bucket


@dataclass(frozen=True)
class Batch(OfSamples):
    """One rank's samples, all of one bucket. Masks are `(B,)` floats.

    Attributes:
        latents: `(B, C, F, h, w)` normalised clean latents x_0.
        noise: the same shape, standard normal.
        uniform: `(B,)` draws for the timestep.
        text: `(B, L, D)`, the null prompt where text is off.
        null_text: `(B, L, D)`, the null prompt.
        audio: `(B, 4F-3, K, D)`.
        keypoints: `(B, 4F-3, keypoints, 3)`: x, y in pixels, confidence; those that the pose condition draws.
        reference: `(B, C, 1, h, w)`.
        motion: `(B, C, 2, h, w)` latents of the 5 frames before the window.
        samples: which each one is and what was drawn for it.
        given: conditions that the model is given, masked where a sample has them off. The same on every rank, whatever its
            own samples are: ranks whose parameters take part differently would wait for each other for ever, or worse, add
            gradients of different parameters.
        stride: pixels of a latent cell, in which `keypoints` are drawn.
        lips: `(B, 4F-3, 20, 3)` as `keypoints`: where the mouth is, for what weighs it in a loss; None where nobody asks.
    """

    latents: Tensor
    noise: Tensor
    uniform: Tensor
    text: Tensor
    null_text: Tensor
    audio: Tensor
    keypoints: Tensor
    reference: Tensor
    motion: Tensor
    audio_mask: Tensor
    pose_mask: Tensor
    reference_mask: Tensor
    motion_mask: Tensor
    samples: tuple[SampleDraw, ...]
    given: frozenset[str]
    stride: int = 8
    lips: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Video tokens of all samples (patch 1x2x2), without the packed ones."""
        return self.latents[:, 0].numel() // 4

    @property
    def pose(self) -> Tensor:
        """`(B, keypoints, 4F-3, 4h, 4w)` heatmaps, drawn where they are needed: they are far larger than the keypoints."""
        height, width = self.latents.shape[-2:]
        drawn = render_heatmaps(self.keypoints, range(self.keypoints.shape[2]), height, width, self.stride)
        return drawn.to(self.text.dtype)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Batch":
        """Move tensors but `COUNTED`, conditions in `dtype`; what stays float32 is `EXACT`."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in COUNTED}
        moved: dict[str, Any] = {
            name: value.to(device, None if name in EXACT else dtype, non_blocking=True)
            for name, value in values.items()
            if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def pinned(self) -> "Batch":
        """The same in page-locked memory, from which a GPU copies while the CPU goes on."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        pinned: dict[str, Any] = {k: v.contiguous().pin_memory() for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **pinned)

    def conditions(self) -> ConditionInputs:
        """For `OmniHumanTransformer3DModel`: text and what is in `given`."""
        shown = {name: getattr(self, name) for name in self.given}
        masks = {f"{name}_mask": getattr(self, f"{name}_mask") for name in self.given}
        return ConditionInputs(self.text, **shown, **masks)

    def as_images(self) -> "Batch":
        """The first latent frame alone: latent 0 of the causal autoencoder is an image. An image has no past."""
        first = {k: getattr(self, k)[:, :, :1] for k in ("latents", "noise")}
        first |= {k: getattr(self, k)[:, :1] for k in ("audio", "keypoints")}
        lips = None if self.lips is None else self.lips[:, :1]
        return replace(
            self, **first, lips=lips, motion_mask=torch.zeros_like(self.motion_mask), given=self.given - {"motion"}
        )
