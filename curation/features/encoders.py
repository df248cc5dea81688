"""The frozen encoders of a profile, loaded once, and the identity that features made with them carry."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from curation.bucket import TILE, TRANSFORM, bucket_names
from curation.features.training_samples import CutSample
from curation.features.windows import MOTION_FRAMES
from media.speech.level import prepare_speech
from omnihuman.autoencoder import (
    check_grid,
    enable_tiles,
    encode_video,
    first_width,
    load_autoencoder,
    profile_grid,
    takes_pictures,
    to_pixels,
)
from omnihuman.conditions.audio import AudioEncoder, encode_audio
from omnihuman.conditions.hearing import Hearing
from omnihuman.conditions.text import TextEncoder
from omnihuman.digests import weights_digest
from omnihuman.placement import trained_dtype
from profiles import Profile, resolve_source
from profiles.schema import Bucket, VideoConfig

DTYPE = "float16"
# Which tensors stand in a row; another set makes every row anew.
ROW = "motion-1"
MOST_WINDOWS = 16
# Values that the autoencoder holds at its peak for each pixel and channel of its first block (`assets.plan.answering` traces it).
HELD = 40

Encoded = Callable[[], dict[str, np.ndarray]]


class Encoders(Protocol):
    """`ConditionEncoders`, several of them on GPUs or cores (`curation.features.side_by_side`), or actors that hold some (`curation.on_ray.encoders`)."""

    @property
    def at_once(self) -> int: ...
    def row_shapes(self, video: VideoConfig) -> dict[str, tuple[int, ...]]: ...
    def windows_at_once(self, bucket: Bucket) -> int: ...
    def null_text(self) -> np.ndarray: ...
    def encode_captions(self, captions: list[str]) -> dict[str, np.ndarray]: ...
    def begin(self, part: str, batch: list[CutSample], video: VideoConfig) -> Encoded: ...
    def encode(self, part: str, batch: list[CutSample], video: VideoConfig) -> dict[str, np.ndarray]: ...


def encoder_identity(profile: Profile, keypoints: str) -> dict[str, str | int | list[str] | list[int]]:
    """What stands in encoders.json. `keypoints` is the detector's name and version.

    Raises:
        ProfileError, FileNotFoundError: weights are missing; the message names the path.
    """
    sources = profile.encoders
    return {
        "autoencoder": weights_digest(resolve_source(sources.autoencoder)),
        "text": weights_digest(resolve_source(sources.text)),
        **{
            name: weights_digest(resolve_source(at))
            for name, at in sources.named.items()
            if name in ("text_2", "text_3")
        },
        "text_tokens": sources.text_tokens,
        "audio": weights_digest(resolve_source(sources.audio)),
        "hearing": Hearing.read(resolve_source(sources.audio)).identity,
        "keypoints": keypoints,
        "transform": TRANSFORM,
        "buckets": bucket_names(profile.video),
        "dtype": DTYPE,
        "row": ROW,
        # Not said where it is float16, or all states: features that were made before there was a choice are of these encoders too.
        **({} if sources.latents == DTYPE else {"latents": sources.latents}),
        **({} if sources.audio_states is None else {"audio_states": list(sources.audio_states)}),
    }


@dataclass(frozen=True)
class ConditionEncoders:
    """Autoencoder, text and audio encoder on one device."""

    autoencoder: Any
    text: TextEncoder
    audio: AudioEncoder
    device: torch.device
    profile: Profile

    def row_shapes(self, video: VideoConfig) -> dict[str, tuple[int, ...]]:
        """Shapes of latents and sound of one sample of a bucket; found by encoding one empty sample."""
        latents = self._see(np.zeros((1, MOTION_FRAMES, video.height, video.width, 3), np.uint8))
        channels, motion, height, width = latents.shape[1:]
        return {
            "latents": (channels, video.latent_frames, height, width),
            "reference_latents": (channels, 1, height, width),
            "motion_latents": (channels, motion, height, width),
            "audio": tuple(self._hear(np.zeros((1, 0), np.float32), video).shape[1:]),
        }

    @property
    def at_once(self) -> int:
        """Batches that may be under way: this process encodes one after the other."""
        return 1

    def begin(self, part: str, batch: list[CutSample], video: VideoConfig) -> Encoded:
        """What encodes a batch when it is called."""
        return partial(self.encode, part, batch, video)

    def encode(self, part: str, batch: list[CutSample], video: VideoConfig) -> dict[str, np.ndarray]:
        """The tensors of the part `latents` or `audio` of a batch of one bucket, float32 but for `has_audio` and `has_motion`."""
        return self._encode_pictures(batch) if part == "latents" else self._encode_sound(batch, video)

    def encode_captions(self, captions: list[str]) -> dict[str, np.ndarray]:
        """`text` `(B, L, D)`."""
        return {"text": self.text.encode(captions).cpu().numpy()}

    def _encode_pictures(self, batch: list[CutSample]) -> dict[str, np.ndarray]:
        """The motion of a sample without frames before its window is all zero. Motion frames are encoded alone, as at
        inference: what the causal autoencoder would remember of still earlier frames is not there."""
        latents = self._see(np.stack([cut.frames for cut in batch]))
        reference = self._see(np.stack([cut.reference for cut in batch])[:, None])
        return {"latents": latents, "reference_latents": reference, **self._motion(batch, reference)}

    def _encode_sound(self, batch: list[CutSample], video: VideoConfig) -> dict[str, np.ndarray]:
        """A silent sample's audio is all zero."""
        has_audio = np.array([cut.audio is not None for cut in batch], np.uint8)
        length = round(video.frames / video.fps * video.sample_rate)
        heard = self._hear(np.stack([self._prepared(cut, length) for cut in batch]), video)
        heard[has_audio == 0] = 0.0
        return {"audio": heard, "has_audio": has_audio}

    def _motion(self, batch: list[CutSample], like: np.ndarray) -> dict[str, np.ndarray]:
        pasts = [cut.motion for cut in batch if cut.motion is not None]
        has_motion = np.array([cut.motion is not None for cut in batch], np.uint8)
        latents = np.zeros((*like.shape[:2], self.profile.video.motion_latents, *like.shape[3:]), np.float32)
        if pasts:
            latents[has_motion == 1] = self._see(np.stack(pasts))
        return {"motion_latents": latents, "has_motion": has_motion}

    def windows_at_once(self, bucket: Bucket) -> int:
        """How many windows of a bucket are encoded together."""
        return windows_at_once(self.autoencoder, bucket, self.profile.curation.encoding_gib)

    def null_text(self) -> np.ndarray:
        """`(L, D)` states of the empty prompt, what the text condition becomes when it is dropped."""
        return self.text.encode([""])[0].cpu().numpy()

    def _see(self, frames: np.ndarray) -> np.ndarray:
        """`(B, 4n+1, H, W, 3)` uint8 to `(B, C, n+1, h, w)`; an autoencoder of pictures sees the last frame of each latent alone."""
        pixels = to_pixels(torch.from_numpy(np.ascontiguousarray(frames)).to(self.device))
        if not takes_pictures(self.autoencoder):
            return _array(encode_video(self.autoencoder, pixels))
        return np.concatenate(
            [_array(encode_video(self.autoencoder, one[:, :, None])) for one in pixels[:, :, ::4].unbind(2)], axis=2
        )

    def _prepared(self, cut: CutSample, length: int) -> np.ndarray:
        """`(length,)` samples as the encoder hears them, by the measure of the whole clip."""
        if cut.audio is None or cut.speech is None:
            return np.zeros(length, np.float32)
        sound = prepare_speech(cut.audio, cut.speech, self.audio.hearing.normalised)[:length]
        return np.pad(sound, (0, length - len(sound)))

    def _hear(self, sounds: np.ndarray, video: VideoConfig) -> np.ndarray:
        """`(B, S)` prepared sounds to states."""
        waves, states = torch.from_numpy(sounds).to(self.device), self.profile.encoders.audio_states
        return _array(encode_audio(self.audio.model, waves, video.frames, video.fps, states))


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()


def windows_at_once(autoencoder: Any, bucket: Bucket, gib: float) -> int:
    """As many windows as the autoencoder encodes within `gib` beside its weights; one at least, `MOST_WINDOWS` at most."""
    return int(max(1, min(MOST_WINDOWS, gib * 2**30 // window_bytes(autoencoder, bucket))))


def window_bytes(autoencoder: Any, bucket: Bucket) -> float:
    """What is held of one window at the peak: its pixels in float32 and in the autoencoder's dtype, and activations of a tile."""
    config, width = autoencoder.config, autoencoder.dtype.itemsize
    pixels = bucket.frames * bucket.height * bucket.width * 3 * (4 + width)
    tile = min(bucket.height, TILE[0]) * min(bucket.width, TILE[1]) / (config.get("patch_size") or 1) ** 2
    return pixels + HELD * first_width(autoencoder) * width * tile


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


def load_encoders(profile: Profile, device: torch.device | None = None) -> ConditionEncoders:
    """Load the profile's encoders. On a GPU text is encoded in the dtype that is trained in, as Wan's own pipeline does and ours generates.

    Args:
        profile: names them.
        device: None is the first GPU where there is one.

    Raises:
        ProfileError, FileNotFoundError, OSError: weights are missing; the message names the path.
        InputError: the autoencoder has other latents than the profile says, or the text encoder rows of another width.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sources = profile.encoders
    autoencoder = load_autoencoder(resolve_source(sources.autoencoder))
    check_grid(autoencoder, profile_grid(profile), sources.autoencoder)
    enable_tiles(autoencoder, *TILE)
    texts = [resolve_source(source) for source in sources.texts]
    text = TextEncoder(texts, sources.text_tokens, profile.transformer.text_dim, trained_dtype(profile, device))
    audio = AudioEncoder(resolve_source(sources.audio))
    models: list[Any] = [autoencoder, *text.models, audio.model]
    for model in models:
        model.to(device)
    return ConditionEncoders(autoencoder, text, audio, device, profile)
