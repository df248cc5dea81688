"""What goes into the transformer beside latents and timestep, as one value."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

# Fields that diffusers' models call something else; all others are called the same in `OmniHumanTransformer3DModel.forward`.
FORWARD_NAMES = {"text": "encoder_hidden_states", "image_tokens": "encoder_hidden_states_image"}


@dataclass(frozen=True, eq=False)
class ConditionInputs(Mapping[str, Tensor]):
    """Everything that drives B videos of F latents. It unpacks into the transformer's keywords: `model(latents, timestep, **inputs)`.

    As a mapping it holds what is given, under the names of `OmniHumanTransformer3DModel.forward`, where shapes are explained further.

    Attributes:
        text: `(B, L, text_dim)`.
        reference: `(B, C, R, h, w)` latents of reference images.
        audio: `(B, 4F-3, K, audio_dim)` wav2vec hidden states, one per video frame.
        pose: `(B, keypoints, 4F-3, 4h, 4w)` heatmaps.
        motion: `(B, C, M, h, w)` latents of the frames before this segment.
        reference_mask, audio_mask, pose_mask, motion_mask: `(B,)`; 0 switches it off for that sample. Those of reference and motion are counted,
            for what nobody is shown is no part of the sequence: on the processor that does not wait for a GPU.
        image_tokens: `(B, 257, image_dim)` of Wan I2V.
    """

    text: Tensor
    reference: Tensor | None = None
    audio: Tensor | None = None
    pose: Tensor | None = None
    motion: Tensor | None = None
    reference_mask: Tensor | None = None
    audio_mask: Tensor | None = None
    pose_mask: Tensor | None = None
    motion_mask: Tensor | None = None
    image_tokens: Tensor | None = None

    @classmethod
    def of(cls, given: Mapping[str, Tensor | None]) -> Self:
        """From the keywords of `forward`.

        Raises:
            TypeError: a keyword that it does not know, or no text.
        """
        return cls(**_by_field(given))

    def without(self, condition: str) -> Self:
        """All but one condition and its mask."""
        return replace(self, **_by_field({condition: None, f"{condition}_mask": None}))

    def each(self, change: Callable[[Tensor], Tensor]) -> Self:
        """Every tensor that is given, changed."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(value) for name, value in given.items() if value is not None})

    def repeated(self, times: int) -> Self:
        """For `times` stacked copies of the videos."""
        return self.each(lambda value: torch.cat([value] * times))

    def __or__(self, changes: Mapping[str, Tensor | None]) -> Self:
        """With some of them exchanged, by the keywords of `forward`."""
        return replace(self, **_by_field(changes))

    def __getitem__(self, name: str) -> Tensor:
        value = getattr(self, _KEYWORDS[name])
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name, field in _KEYWORDS.items() if getattr(self, field) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _by_field(given: Mapping[str, Tensor | None]) -> dict[str, Any]:
    return {_KEYWORDS.get(name, name): value for name, value in given.items()}


# Keyword of `forward` to field.
_KEYWORDS = {FORWARD_NAMES.get(field.name, field.name): field.name for field in fields(ConditionInputs)}
