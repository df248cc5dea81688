"""The frozen encoders of a profile, loaded once, and the identity that features made with them carry."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from curation.bucket import TRANSFORM, bucket_name
from curation.samples import CutSample
from omnihuman.audio import AudioEncoder
from omnihuman.autoencoder import encode_video, load_autoencoder, to_pixels
from omnihuman.digests import weights_digest
from omnihuman.text import TextEncoder
from profiles import Profile, resolve_source

DTYPE = "float16"


def encoder_identity(profile: Profile, keypoints: str) -> dict[str, str | int]:
    """What stands in encoders.json. `keypoints` is the detector's name and version.

    Raises:
        ProfileError, FileNotFoundError: weights are missing; the message names the path.
    """
    sources = profile.encoders
    return {
        "autoencoder": weights_digest(resolve_source(sources.autoencoder)),
        "text": weights_digest(resolve_source(sources.text)),
        "text_tokens": sources.text_tokens,
        "audio": weights_digest(resolve_source(sources.audio)),
        "keypoints": keypoints,
        "transform": TRANSFORM,
        "bucket": bucket_name(profile.video),
        "dtype": DTYPE,
    }


@dataclass(frozen=True)
class ConditionEncoders:
    """Autoencoder, text and audio encoder on one device."""

    autoencoder: AutoencoderKLWan
    text: TextEncoder
    audio: AudioEncoder
    device: torch.device
    profile: Profile

    def shapes(self, samples: int) -> dict[str, tuple[tuple[int, ...], str]]:
        """Shapes and types of features.safetensors for so many samples; found by encoding one empty sample."""
        video = self.profile.video
        latents, _ = self._latents(np.zeros((1, 1, video.height, video.width, 3), np.uint8), None)
        channels, _, height, width = latents.shape[1:]
        text = tuple(self.text.encode([""]).shape[1:])
        audio = tuple(self._hear([np.zeros(0, np.float32)]).shape[1:])
        return {
            "latents": ((samples, channels, video.latent_frames, height, width), DTYPE),
            "reference_latents": ((samples, channels, 1, height, width), DTYPE),
            "text": ((samples, *text), DTYPE),
            "null_text": (text, DTYPE),
            "audio": ((samples, *audio), DTYPE),
            "has_audio": ((samples,), "uint8"),
            "keypoints": ((samples, video.frames, 133, 3), "float32"),
        }

    def encode(self, batch: list[CutSample]) -> dict[str, np.ndarray]:
        """Every encoded feature of a batch, float32 but for `has_audio`; a silent sample's audio is all zero."""
        frames = np.stack([cut.frames for cut in batch])
        latents, reference = self._latents(frames, np.stack([cut.reference for cut in batch])[:, None])
        has_audio = np.array([cut.audio is not None for cut in batch], np.uint8)
        heard = self._hear([np.zeros(0, np.float32) if cut.audio is None else cut.audio for cut in batch])
        heard[has_audio == 0] = 0.0
        return {
            "latents": latents,
            "reference_latents": reference,
            "text": self.text.encode([cut.sample.caption for cut in batch]).cpu().numpy(),
            "audio": heard,
            "has_audio": has_audio,
        }

    def null_text(self) -> np.ndarray:
        """`(L, D)` states of the empty prompt, what the text condition becomes when it is dropped."""
        return self.text.encode([""])[0].cpu().numpy()

    def _latents(self, frames: np.ndarray, reference: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        encoded = [self._see(value) for value in (frames, frames[:, :1] if reference is None else reference)]
        return encoded[0], encoded[1]

    def _see(self, frames: np.ndarray) -> np.ndarray:
        pixels = to_pixels(torch.from_numpy(np.ascontiguousarray(frames)).to(self.device))
        return _array(encode_video(self.autoencoder, pixels))

    def _hear(self, waveforms: list[np.ndarray]) -> np.ndarray:
        video = self.profile.video
        length = round(video.frames / video.fps * video.sample_rate)
        padded = np.stack([np.pad(wave[:length], (0, max(0, length - len(wave)))) for wave in waveforms])
        return _array(self.audio.encode(torch.from_numpy(padded).to(self.device), video.frames, video.fps))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()


def decoding_processes() -> int:
    """How many processes decode beside the encoders: one of two cores, at most a quarter of many, at most eight."""
    return max(1, min(8, (os.cpu_count() or 1) // 4))


@contextmanager
def cores_left_by_decoding() -> Iterator[None]:
    """Give torch the cores on which nothing is decoded. With more threads than cores they wait for one another in busy
    loops: on two busy cores a batch of 16 puppets took 0.4 CPU seconds with one thread and 1.5 with two."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) - decoding_processes()))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def load_encoders(profile: Profile) -> ConditionEncoders:
    """Load the profile's encoders, on the first GPU where there is one.

    Raises:
        ProfileError, FileNotFoundError, OSError: weights are missing; the message names the path.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sources = profile.encoders
    autoencoder = load_autoencoder(resolve_source(sources.autoencoder))
    text = TextEncoder(resolve_source(sources.text), sources.text_tokens)
    audio = AudioEncoder(resolve_source(sources.audio))
    models: list[Any] = [autoencoder, text.model, audio.model]
    for model in models:
        model.to(device)
    return ConditionEncoders(autoencoder, text, audio, device, profile)
