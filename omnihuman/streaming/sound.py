"""Sound that comes in bit by bit, and what a speech encoder makes of as much of it as a latent may hear."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import Wav2Vec2Model

from media.speech.level import RATE, measure_speech, prepare_speech
from omnihuman.conditions.audio import encode_audio
from omnihuman.streaming.conditions import BEFORE, first_frame_heard
from omnihuman.streaming.settings import Streaming


class StreamSound:
    """The last second or so of one sound, or of a batch of equal length.

    Of each latent the encoder hears what stands before the end of its lookahead, as many frames as a clip of training has, and the
    lookahead. How loud somebody will speak is not known yet, so the level is left as it is (docs/guide/streaming.md).

    Attributes:
        samples: how many have come.
    """

    def __init__(
        self,
        encoder: Wav2Vec2Model,
        streaming: Streaming,
        fps: float,
        window_frames: int,
        states: Sequence[int],
        normalised: bool,
        stride: int = 4,
    ):
        """`window_frames`: of a clip of training; `states`, `normalised`: as the pipeline's configuration says; `stride`: frames of a latent."""
        self.encoder, self.streaming, self.fps, self.stride = encoder, streaming, fps, stride
        self.context = max(window_frames, stride * (BEFORE + 1) + 1) + streaming.lookahead
        self.states, self.normalised = tuple(states), normalised
        self.samples = 0
        self._kept: Tensor | None = None
        self._first = 0  # number of the first sample that is kept

    def hear(self, samples: Tensor) -> None:
        """Take `(B, S)` float32 samples at 16 kHz, which go on from those before."""
        self._kept = samples if self._kept is None else torch.cat([self._kept, samples], dim=1)
        self.samples += samples.shape[1]

    def needed(self, latent: int) -> int:
        """How many samples must have come before a latent can be made."""
        return self._sample(self.stride * latent + 1 + self.streaming.lookahead)

    def encode(self, latent: int) -> Tensor:
        """`(B, T, K, D)` states of the frames that `omnihuman.streaming.conditions.audio_of_latents` asks for; lets older sound go."""
        assert self._kept is not None
        end = self.stride * latent + 1 + self.streaming.lookahead
        begin = max(0, end - self.context)
        heard = self._kept[:, self._sample(begin) - self._first : self._sample(end) - self._first]
        if self.normalised:
            pieces = [prepare_speech(sound, measure_speech(sound), True) for sound in heard.cpu().numpy()]
            heard = torch.from_numpy(np.stack(pieces))
        states = encode_audio(self.encoder, heard, end - begin, self.fps, self.states)
        self._forget(self._sample(max(0, end + self.stride - self.context)))
        return states[:, first_frame_heard(latent, self.stride) - begin :]

    def _sample(self, frame: int) -> int:
        return round(frame / self.fps * RATE)

    def _forget(self, first: int) -> None:
        """A copy of what is left, so that the rest is freed; the last moment again and again would be copied too often, so now and then."""
        assert self._kept is not None
        if first - self._first > RATE:
            self._kept, self._first = self._kept[:, first - self._first :].clone(), first
