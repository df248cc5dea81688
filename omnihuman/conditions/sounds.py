"""Several sounds as one batch, and one picture, prompt or pose for all of them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from omnihuman.errors import InputError

Sounds = Tensor | np.ndarray | Sequence[Tensor | np.ndarray]


def to_sounds(audio: Sounds) -> Tensor:
    """`(S,)` or `(B, S)` float, or a list of `(S,)`, to `(B, S)` float32; shorter ones of a list end in silence.

    Raises:
        InputError: another shape, or an empty list.
    """
    if isinstance(audio, Tensor | np.ndarray):
        sounds = torch.as_tensor(audio)
        sounds = sounds[None] if sounds.ndim == 1 else sounds
    else:
        parts = [torch.as_tensor(part) for part in audio]
        if not parts or any(part.ndim != 1 for part in parts):
            raise InputError(
                f"a list of sounds holds (S,) samples each, got {[tuple(part.shape) for part in parts] or 'an empty one'}"
            )
        sounds = pad_sequence(parts, batch_first=True)
    if sounds.ndim != 2:
        raise InputError(f"sound is (S,), (B, S) or a list of (S,), got {tuple(sounds.shape)}")
    return sounds.float()


def share_out(
    prompts: list[str], reference: Tensor | None, audio: Tensor | None, keypoints: Tensor | None
) -> tuple[list[str], Tensor | None, Tensor | None, Tensor | None]:
    """Everything for as many clips as the largest has; what there is one of is repeated, the picture as a view.

    Raises:
        InputError: two of them have other numbers, neither of them 1.
    """
    counts = {"prompts": len(prompts)} | {
        name: len(value)
        for name, value in (("references", reference), ("sounds", audio), ("poses", keypoints))
        if value is not None
    }
    clips = max(counts.values())
    if not prompts or any(count not in (1, clips) for count in counts.values()):
        raise InputError(
            f"one of each, or as many as there are clips; got {', '.join(f'{count} {name}' for name, count in counts.items())}"
        )
    return (
        prompts * (clips // len(prompts)),
        _repeated(reference, clips),
        _repeated(audio, clips),
        _repeated(keypoints, clips),
    )


def _repeated(value: Tensor | None, clips: int) -> Tensor | None:
    return None if value is None else value.expand(clips, *value.shape[1:])
