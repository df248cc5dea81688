"""Sound as people have it, several sounds as one batch, and one picture, prompt or pose for all of them."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path

import numpy as np
import torch
from diffusers.utils import logging
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from media import MediaError, read_audio
from media.speech.level import RATE
from omnihuman.errors import InputError
from profiles.conditions import options_of

logger = logging.get_logger(__name__)

One = Tensor | np.ndarray | str | Path
Sounds = One | Sequence[One]
CHANNELS = 8  # of one sound; of more rows and columns than that an array is no sound of channels
MOST_CLIPS = 256  # of one call
RATES = (8_000, 384_000)
FULL_SCALE = {torch.int16: 2.0**15, torch.int32: 2.0**31}
LOUDEST = 100.0  # of float samples: a loud mix goes a little beyond 1, integers that were made float go to thousands


def to_sounds(audio: Sounds, sample_rate: int = RATE, clips: int = 1, shortest: int = 1) -> Tensor:
    """Sound as people have it to `(B, S)` float32 at 16 kHz; shorter ones of a list end in silence.

    Args:
        audio: a file's path (any rate, its sound mixed to one channel); samples `(S,)`, `(S, channels)` as soundfile gives them, or
            `(channels, S)`, float in [-1, 1] or int16 or int32; or a list of these, one for each clip. `(clips, S)` beside several
            prompts or pictures is one sound for each.
        sample_rate: of samples, in Hz; a file says its own.
        clips: how many prompts, pictures or poses there are.
        shortest: samples that a sound has at least, at 16 kHz.

    Raises:
        InputError: another shape or one that could be two things, another rate, too short or too many sounds, or numbers that are
            not finite or of another scale.
        media.MediaError: a file without sound that can be read; it names the file.
    """
    if not isinstance(sample_rate, Real) or not RATES[0] <= sample_rate <= RATES[1]:
        raise InputError(f"sample_rate is in Hz, from {RATES[0]} to {RATES[1]}; got {sample_rate!r}")
    if isinstance(audio, Tensor | np.ndarray):
        samples = torch.as_tensor(audio)
        if samples.ndim == 2 and clips > 1 and samples.shape[0] == clips:
            parts: list[One] = list(samples)
        else:
            parts = [samples]
    elif isinstance(audio, str | Path):
        parts = [audio]
    elif isinstance(audio, Sequence):
        parts = list(audio)
    else:
        raise InputError(f"audio is a file's path, an array, a tensor, or a list of these; got {type(audio).__name__}")
    if not parts:
        raise InputError("audio is an empty list; give a sound for each clip, or leave audio out")
    check_clips(len(parts))
    return pad_sequence([_one(part, sample_rate, shortest) for part in parts], batch_first=True)


def check_clips(count: int) -> None:
    """Refuse more clips than one call can be meant to make.

    Raises:
        InputError: saying how many there would be.
    """
    if count > MOST_CLIPS:
        raise InputError(
            f"these inputs are of {count} clips, and a call makes {MOST_CLIPS} at most; is a sound's length taken for a number of sounds?"
        )


def _one(sound: One, sample_rate: int, shortest: int) -> Tensor:
    if isinstance(sound, str | Path):
        try:
            samples, sample_rate = torch.from_numpy(read_audio(Path(sound), RATE)), RATE
        except MediaError as error:
            raise MediaError(error.reason, f"{sound}: {error}") from error
    else:
        samples = _mixed(torch.as_tensor(sound))
    if not samples.isfinite().all():
        raise InputError("sound holds samples that are not finite (NaN or infinite); export it again")
    if len(samples) and (peak := float(samples.abs().max())) > LOUDEST:
        raise InputError(
            f"float samples are in [-1, 1], and these reach {peak:.0f}; were they 16-bit, divide them by 32768"
        )
    if len(samples) and sample_rate != RATE:
        from scipy.signal import resample_poly  # half a second of imports, for sound at other rates alone

        common = math.gcd(sample_rate, RATE)
        samples = torch.from_numpy(resample_poly(samples.numpy(), RATE // common, sample_rate // common)).float()
    if len(samples) < shortest:
        raise InputError(
            f"a sound of {len(samples)} samples at {RATE} Hz is shorter than one frame of the video ({shortest} samples); sound is (S,), "
            "(S, channels), (channels, S), or a list of these"
        )
    return samples


def _mixed(samples: Tensor) -> Tensor:
    """`(S,)` float of one sound in any of its shapes."""
    shape = tuple(samples.shape)
    if not shape:
        raise InputError(
            "a sound is an array of samples, and here a single number stands in its place; of soundfile.read's (samples, rate) give the "
            "samples, and the rate as sample_rate="
        )
    if samples.ndim > 2:
        raise InputError(
            f"a sound is (S,), (S, channels) or (channels, S), got {shape}; for several give a list of them"
        )
    if not samples.is_floating_point() and samples.dtype not in FULL_SCALE:
        raise InputError(f"sound is float in [-1, 1], int16 or int32, got {samples.dtype}")
    samples = samples.cpu().float() / FULL_SCALE.get(samples.dtype, 1.0)
    if samples.ndim == 1:
        return samples
    if (shape[0] <= CHANNELS) == (shape[1] <= CHANNELS):
        raise InputError(
            f"{shape} could be (S, channels), (channels, S) or several sounds; give (S,), or a list of (S,) for several"
        )
    channels = 0 if shape[0] <= CHANNELS else 1
    if channels == 0 and shape[0] > 1:
        logger.warning(
            f"sound {shape} is heard as one of {shape[channels]} channels, mixed; for several sounds give a list"
        )
    return samples.mean(channels)


def share_out(prompts: list[str], given: Mapping[str, Tensor]) -> tuple[list[str], dict[str, Tensor]]:
    """Everything for as many clips as the largest has; what there is one of is repeated, tensors as views.

    Args:
        prompts: captions.
        given: `(clips, ...)` each, by condition.

    Raises:
        InputError: two of them have other numbers, neither of them 1.
    """
    counts = {"text": len(prompts)} | {name: len(value) for name, value in given.items()}
    clips = max(counts.values())
    check_clips(clips)
    if not prompts or any(count not in (1, clips) for count in counts.values()):
        raise InputError(
            f"one of each, or as many as there are clips; got {', '.join(f'{options_of([name])}: {count}' for name, count in counts.items())}"
        )
    repeated = {name: value.expand(clips, *value.shape[1:]) for name, value in given.items()}
    return prompts * (clips // len(prompts)), repeated
