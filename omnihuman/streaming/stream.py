"""A person who talks while the sound comes in: sound in, frames out, a latent at a time."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from media.speech.level import RATE
from omnihuman.autoencoder import LatentGrid, to_frames
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.conditions.pose import render_heatmaps
from omnihuman.conditions.sounds import to_sounds
from omnihuman.errors import InputError
from omnihuman.sampling import draw_noise
from omnihuman.streaming.attention import Memory
from omnihuman.streaming.causal import CausalTransformer
from omnihuman.streaming.conditions import frames_around
from omnihuman.streaming.decoder import StreamDecoder
from omnihuman.streaming.settings import Streaming
from omnihuman.streaming.sound import StreamSound


def streaming_of(pipeline: Any) -> Streaming:
    """How the pipeline's model streams.

    Raises:
        InputError: it was not trained to.
    """
    said = pipeline.config.get("streaming")
    if not said:
        raise InputError(
            "this model was not trained to stream: make asset streaming_student (docs/guide/streaming.md) and give that one"
        )
    return Streaming(**said)


class TalkingStream:
    """One video that is being made, or a batch of them with sounds of equal length.

    What was made depends on the seed, the person and the sound alone, never on how the sound was cut into packets or on when it came.

    Attributes:
        latents: how many are made.
        last: the latent that the next one goes on from.
        frames: how many are made.
    """

    def __init__(
        self,
        pipeline: Any,
        reference: Tensor | None,
        prompts: Sequence[str],
        generator: torch.Generator | Sequence[torch.Generator] | None,
        height: int,
        width: int,
        tracks: Mapping[str, Tensor] | None = None,
        streaming: Streaming | None = None,
        heard: bool = True,
    ):
        """Encode the person; nothing is made yet.

        Args:
            pipeline: an `OmniHumanPipeline` with a streaming student.
            reference: `(B, H, W, 3)` uint8 or None.
            prompts: B captions.
            generator: of the noise, one for all or B of them.
            height, width: of the video.
            tracks: `(B, T, ...)` by condition, such as keypoints under "pose"; past its end the last value stays.
            streaming: None for the model's own.
            heard: False for a video without sound.

        Raises:
            InputError: the model does not stream.
        """
        self.pipeline, self.streaming = pipeline, streaming or streaming_of(pipeline)
        self._person: ConditionInputs = pipeline.encode_person(prompts, reference)
        self._causal = CausalTransformer(pipeline.transformer, self.streaming)
        self._decoder = StreamDecoder(pipeline.vae)
        config, grid = pipeline.config, LatentGrid.of(pipeline.vae)
        self._grid = grid
        self._sound = StreamSound(
            pipeline.audio_encoder,
            self.streaming,
            config.fps,
            pipeline._window(height, width),
            config.audio_states,
            config.normalise_sound,
            grid.temporal_stride,
        )
        self._shape = grid.shape(1, height, width)
        self._generator, self._batch, self._heard = generator, len(prompts), heard
        self._tracks, self.height, self.width = dict(tracks or {}), height, width
        self._memory, self.last = Memory(), torch.zeros(self._batch, *self._shape)[:, :, :0]
        self.latents = 0

    @property
    def frames(self) -> int:
        return self._grid.frames(self.latents)

    def hear(self, samples: Tensor) -> None:
        """Take `(B, S)` float samples at 16 kHz that go on from those before."""
        self._sound.hear(samples)

    def needed_samples(self, latent: int) -> int:
        """How many samples of sound there must have been before a latent can be made."""
        return self._sound.needed(latent)

    @property
    def missing_samples(self) -> int:
        """How many samples of sound must still come before the next latent can be made; 0 where it can."""
        return max(0, self._sound.needed(self.latents) - self._sound.samples) if self._heard else 0

    @torch.no_grad()
    def make(self) -> Tensor:
        """The next frames, `(B, 1 or temporal stride, H, W, 3)` uint8.

        Raises:
            InputError: sound that it needs has not come.
        """
        return self.decode(self.make_latent())

    def decode(self, latent: Tensor) -> Tensor:
        """Frames `(B, 1 or temporal stride, H, W, 3)` uint8 of the latent that `make_latent` gave last; each of them once, in order."""
        return to_frames(self._decoder.decode(latent))

    @torch.no_grad()
    def make_latent(self) -> Tensor:
        """The next latent `(B, C, 1, h, w)`, undecoded."""
        if self.missing_samples:
            raise InputError(f"latent {self.latents} needs {self.missing_samples} more samples of sound")
        number = self.latents
        sound = {"audio": self._sound.encode(number)} if self._heard else {}
        inputs = dataclasses.replace(self._person, **self.pipeline._for_transformer(sound | self._pose(number)))
        noise = draw_noise(self._batch, self._shape, self._generator).to(inputs.text.device)
        latent, self._memory = self._causal(noise, self.last.to(noise), inputs, number, self._memory)
        self.last, self.latents = latent.float(), number + 1
        return self.last

    def _pose(self, latent: int) -> dict[str, Tensor]:
        """Heatmaps of the latent and of those beside it, as `omnihuman.streaming.conditions.pose_of_latents` takes them."""
        track = self._tracks.get("pose")
        if track is None:
            return {}
        grid = self._grid
        last = -(-(track.shape[1] - 1) // grid.temporal_stride)
        rows = torch.tensor(frames_around(latent, 1, last, grid.temporal_stride))
        points = track[:, rows.clamp_max(track.shape[1] - 1)]
        selected = self.pipeline.config.pose_keypoints
        return {"pose": render_heatmaps(points, selected, self._shape[2], self._shape[3], grid.stride)}


def stream_video(stream: TalkingStream, sound: Tensor | None, frames: int) -> Iterator[Tensor]:
    """The latents of a whole video, as a live one has them: `(B, C, 1, h, w)` at a time, until there are `frames`.

    Args:
        stream: at its beginning.
        sound: `(B, S)` float at 16 kHz; past its end there is silence.
        frames: of the video.
    """
    at = 0
    while stream.frames < frames:
        while sound is not None and (missing := stream.missing_samples):
            piece = sound[:, at : at + missing].cpu().float()
            silence = torch.zeros(len(sound), missing - piece.shape[1])
            stream.hear(torch.cat([piece, silence], dim=1))
            at += missing
        yield stream.make_latent()


def streamed_segments(pipeline: Any, video: Any, first: int, segment: Callable[..., Any]) -> Iterator[Any]:
    """A long video by a model that streams, in the parts in which others make it: `omnihuman.long_video.generate_segments` says how.

    A stream has no seams, so what joins segments says nothing here. Parts before `first` are made again, which takes less time than their
    memory would take space.

    Args:
        pipeline: with a streaming student.
        video: `omnihuman.long_video.LongVideo`.
        first: number of the first part that is wanted.
        segment: makes one of number, first frame, frames, latents.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in video.seeds]
    stream = TalkingStream(
        pipeline,
        video.reference,
        video.prompts,
        generators,
        video.height,
        video.width,
        video.tracks,
        heard=video.audio is not None,
    )
    sound = None if video.audio is None else resampled(video.audio, video.sample_rate)
    index, frames, latents = 0, torch.empty(0), []
    for latent in stream_video(stream, sound, video.frames):
        made = stream.decode(latent).cpu()
        frames = made if not frames.numel() else torch.cat([frames, made], dim=1)
        latents.append(latent)
        while index < video.segments and video.span(index)[0] + frames.shape[1] >= video.span(index)[1]:
            start, stop = video.span(index)
            if index >= first:
                yield segment(index, start, frames[:, : stop - start], torch.cat(latents, dim=2))
            frames, latents, index = frames[:, stop - start :].clone(), latents[-1:], index + 1


def resampled(sound: Tensor, rate: int) -> Tensor:
    """`(B, S)` at 16 kHz."""
    return sound if rate == RATE else torch.stack([to_sounds(one, rate)[0] for one in sound])


def stream_latents(
    pipeline: Any,
    prompts: Sequence[str],
    reference: Tensor | None,
    audio: Tensor | None,
    tracks: Mapping[str, Tensor],
    frames: int,
    height: int,
    width: int,
    generator: torch.Generator | Sequence[torch.Generator] | None,
) -> Tensor:
    """A clip's latents `(B, C, F, h, w)` by a model that streams, from the same things as any other clip."""
    stream = TalkingStream(pipeline, reference, prompts, generator, height, width, tracks, heard=audio is not None)
    return torch.cat(list(stream_video(stream, audio, frames)), dim=2)
