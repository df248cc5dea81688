"""ComfyUI's IMAGE and AUDIO, to and from what the pipeline takes and makes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comfy_nodes.errors import NodeError

Audio = Mapping[str, Any]


def picture_of(image: Tensor) -> Tensor:
    """`(1, H, W, 3)` of an IMAGE, which is float `(B, H, W, C)` in 0..1; what a resampling left beyond is cut, as ComfyUI's own nodes do.

    Raises:
        NodeError: several pictures, or with transparency.
    """
    if image.ndim != 4 or len(image) != 1 or image.shape[3] != 3:
        raise NodeError(
            f"image is one picture (1, H, W, 3), got {tuple(image.shape)}; take one of a batch, and lay transparency on a background"
        )
    return image.clamp(0.0, 1.0)


def sound_of(audio: Audio) -> tuple[Tensor, int]:
    """`(C, S)` and its rate in Hz of an AUDIO.

    Raises:
        NodeError: no AUDIO, or several sounds.
    """
    try:
        waveform, rate = audio["waveform"], int(audio["sample_rate"])
    except (KeyError, TypeError, ValueError) as error:
        raise NodeError('audio is ComfyUI\'s AUDIO, {"waveform": (1, channels, samples), "sample_rate"}') from error
    if waveform.ndim != 3 or len(waveform) != 1:
        raise NodeError(f"audio is one sound (1, channels, samples), got {tuple(waveform.shape)}; take one of a batch")
    return waveform[0], rate


def image_of(pictures: np.ndarray) -> Tensor:
    """IMAGE of `(T, H, W, 3)` uint8."""
    return torch.from_numpy(np.ascontiguousarray(pictures)).float() / 255.0


def audio_of(samples: np.ndarray, rate: int) -> dict[str, Any]:
    """AUDIO of `(S,)` float."""
    return {"waveform": torch.from_numpy(np.ascontiguousarray(samples, np.float32))[None, None], "sample_rate": rate}
