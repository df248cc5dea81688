"""Videos longer than the model's window: segments joined by motion frames (OmniHuman-1 section 3.4) that overlap and dissolve.

A segment begins `overlap` frames before the one before it ends; there both start from the same noise, and the pictures go over from
the old to the new in equal steps. The 5 frames before a segment's first are encoded alone, as in training, and packed as 2 clean latents at negative times.
They are taken from the decoded picture before it is rounded to 8 bits. The decoder's state is not carried over: a segment's first
latent is one frame by itself, as the model learned it, where a state would make four of it.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnihuman.autoencoder import WAN_GRID, LatentGrid, decode_video, encode_video, to_frames
from omnihuman.conditions.encoding import ConditionEncoding
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.errors import InputError
from omnihuman.guidance import OmniHumanGuidance
from omnihuman.joint import dissolve
from omnihuman.sampling import Sampling, draw_noise

MOTION_FRAMES = 5
OVERLAP = 5  # frames that two segments share where nothing else is asked for


class SegmentMaker(ConditionEncoding, Sampling):
    """The part of `OmniHumanPipeline` that makes segments."""

    maybe_free_model_hooks: Any  # of diffusers' DiffusionPipeline


@dataclass(frozen=True)
class LongVideo:
    """What to make. B videos at a time.

    Attributes:
        prompts: B captions.
        reference: `(B, H, W, 3)` uint8 or None.
        audio: `(B, S)` float at `sample_rate`, or None; past its end there is silence.
        tracks: `(B, T, ...)` by condition, one value per frame of the video, such as keypoints `(B, T, 133, 3)` under "pose"; past its end
            the last value stays.
        frames: of the whole video.
        segment_frames: of one segment, 4n+1; what the model was trained on.
        seeds: B; segment 0 starts from `torch.Generator().manual_seed(seed)`, as a single clip does.
        height, width: whole tokens, as `OmniHumanPipeline.multiple` says.
        steps: sampling steps, None for the model's own.
        guidance: None for the model's own.
        sample_rate: of `audio` in Hz.
        joined: False makes every segment by itself, without motion frames and overlap: what joining is measured against.
        overlap: frames that consecutive segments share, 4n+1, or 0 for a hard cut; None is 5, and 0 in segments too short for it.
    """

    prompts: Sequence[str]
    reference: Tensor | None
    audio: Tensor | None
    tracks: Mapping[str, Tensor]
    frames: int
    segment_frames: int
    seeds: Sequence[int]
    height: int
    width: int
    steps: int | None = None
    guidance: OmniHumanGuidance | None = None
    sample_rate: int = 16_000
    joined: bool = True
    overlap: int | None = None

    def __post_init__(self) -> None:
        if self.frames < 1 or self.segment_frames % 4 != 1 or self.segment_frames < MOTION_FRAMES:
            raise InputError(
                f"a video has at least one frame and segments of 4n+1, at least {MOTION_FRAMES}; got {self.frames} frames in "
                f"segments of {self.segment_frames}"
            )
        if len(self.seeds) != len(self.prompts):
            raise InputError(f"{len(self.seeds)} seeds for {len(self.prompts)} prompts")
        if self.overlap and (
            self.overlap < 0 or self.overlap % 4 != 1 or self.segment_frames < _least_segment(self.overlap)
        ):
            raise InputError(
                f"an overlap is 4n+1 frames, whole latents of both segments, and segments have at least two overlaps and 3 frames; got "
                f"{self.overlap} in segments of {self.segment_frames}: use longer segments, or overlap=0"
            )

    @property
    def shared(self) -> int:
        """Frames that two consecutive segments both make."""
        if not self.joined:
            return 0
        if self.overlap is not None:
            return self.overlap
        return OVERLAP if self.segment_frames >= _least_segment(OVERLAP) else 0

    @property
    def segments(self) -> int:
        """How many; the last one is cut to what is left."""
        return 1 + max(0, -(-(self.frames - self.segment_frames) // self._stride))

    def span(self, index: int) -> tuple[int, int]:
        """First frame of a segment and the first frame that is not settled with it: the overlap waits for the next one."""
        start = index * self._stride
        return start, self.frames if index == self.segments - 1 else start + self._stride

    @property
    def _stride(self) -> int:
        return self.segment_frames - self.shared


def _least_segment(overlap: int) -> int:
    """Room for the overlaps at both ends, in latents that do not meet, and for the next segment's motion frames."""
    return max(2 * overlap + 3, overlap + MOTION_FRAMES)


def as_batch(videos: Sequence[LongVideo]) -> LongVideo:
    """Videos that differ in people, words, sound, pose and length as one batch, as long as its longest.

    Raises:
        InputError: they differ in anything else, or only some have a reference, a sound or one of the tracks.
    """
    own = ("prompts", "reference", "audio", "tracks", "frames", "seeds")
    first = videos[0]
    for field in dataclasses.fields(LongVideo):
        values = [getattr(video, field.name) for video in videos]
        if field.name not in own and any(value != values[0] for value in values):
            raise InputError(f"videos of one batch have the same {field.name}, got {', '.join(map(str, values))}")
        if field.name in ("reference", "audio") and len({value is None for value in values}) == 2:
            raise InputError(f"either all videos of one batch have {field.name} or none")
    for name in {name for video in videos for name in video.tracks}:
        if any(name not in video.tracks for video in videos):
            raise InputError(f"either all videos of one batch have {name} or none")
    return dataclasses.replace(
        first,
        prompts=[prompt for video in videos for prompt in video.prompts],
        seeds=[seed for video in videos for seed in video.seeds],
        reference=None
        if first.reference is None
        else torch.cat([v.reference for v in videos if v.reference is not None]),
        audio=None if first.audio is None else _padded([v.audio for v in videos if v.audio is not None], silent=True),
        tracks={name: _padded([video.tracks[name] for video in videos], silent=False) for name in first.tracks},
        frames=max(video.frames for video in videos),
    )


def _padded(parts: Sequence[Tensor], silent: bool) -> Tensor:
    """`(B, T, ...)` of other T as one batch; what is shorter ends in zeros (`silent`) or stays at its last."""
    longest = max(part.shape[1] for part in parts)
    padded = []
    for part in parts:
        end = part[:, -1:].expand(-1, longest - part.shape[1], *part.shape[2:])
        padded.append(torch.cat([part, torch.zeros_like(end) if silent else end], dim=1))
    return torch.cat(padded)


@dataclass(frozen=True)
class Handover:
    """What a segment needs of the one before it.

    Attributes:
        motion: `(B, C, 2, h, w)` (3 of a temporal stride of 2) of the 5 frames before its first.
        overlap: `(B, 3, shared, H, W)` in [-1, 1]: the pictures of the overlap as the one before made them.
    """

    motion: Tensor
    overlap: Tensor


@dataclass(frozen=True)
class Segment:
    """One finished part.

    Attributes:
        index: from 0.
        start: number of its first frame in the whole video.
        frames: `(B, T, H, W, 3)` uint8, those that are settled (`LongVideo.span`).
        latents: `(B, C, F, h, w)` of the uncut segment.
        handover: what the next segment starts from.
    """

    index: int
    start: int
    frames: Tensor
    latents: Tensor
    handover: Handover


@torch.no_grad()
def generate_segments(
    pipeline: SegmentMaker, video: LongVideo, first: int = 0, before: Handover | None = None
) -> Iterator[Segment]:
    """Make the segments from `first` on, one at a time; nothing of an earlier one is kept but its handover.

    Args:
        pipeline: teacher or student.
        video: what to make.
        first: segments before it are there already.
        before: `Segment.handover` of the one before `first`.

    Raises:
        ValueError: `first` is past 0 and `before` is missing.
    """
    steps = video.steps or pipeline.config.num_inference_steps
    guidance = pipeline.choose_guidance(steps, guidance=video.guidance)
    if pipeline.config.get("streaming"):
        from omnihuman.streaming.stream import streamed_segments

        yield from streamed_segments(pipeline, video, first, _streamed)
        pipeline.maybe_free_model_hooks()
        return
    if first and before is None and video.joined:
        raise ValueError(f"segment {first} goes on from the handover of segment {first - 1}; give it")
    person = pipeline.encode_person(video.prompts, video.reference)
    for index in range(first, video.segments):
        conditions = _movement(pipeline, person, video, index)
        if before is not None and video.joined:
            conditions = dataclasses.replace(conditions, motion=before.motion.to(person.text))
        latents = pipeline.sample(
            conditions,
            len(video.prompts),
            video.segment_frames,
            video.height,
            video.width,
            steps,
            guidance,
            noise=segment_noise(video, index, LatentGrid.of(pipeline.vae)),
        )
        pixels = decode_video(pipeline.vae, latents)
        if before is not None and video.joined:
            pixels = dissolve(before.overlap, pixels, LatentGrid.of(pipeline.vae).temporal_stride)
        settled = video.segment_frames - video.shared
        # Copies: a view would keep the whole segment in memory.
        overlap = pixels[:, :, settled:].clone()
        before = Handover(encode_video(pipeline.vae, pixels[:, :, settled - MOTION_FRAMES : settled]), overlap)
        start, stop = video.span(index)
        yield Segment(index, start, to_frames(pixels[:, :, : stop - start]), latents, before)
    pipeline.forget_sound()
    pipeline.maybe_free_model_hooks()


def _streamed(index: int, start: int, frames: Tensor, latents: Tensor) -> Segment:
    """A part of a stream, which goes on from its memory and hands nothing over."""
    nothing = frames.new_empty(0, dtype=torch.float32)
    return Segment(index, start, frames, latents, Handover(nothing, nothing))


def segment_noise(video: LongVideo, index: int, grid: LatentGrid = WAN_GRID) -> Tensor:
    """`(B, C, F, h, w)`. In the overlap it is that of the segment before: from the same noise both make nearly the same there, and
    a dissolve between two that differ shows both."""
    noise = _own_noise(video, index, grid)
    if index and video.shared:
        latents = grid.latents(video.shared)
        noise[:, :, :latents] = _own_noise(video, index - 1, grid)[:, :, -latents:]
    return noise


def _own_noise(video: LongVideo, index: int, grid: LatentGrid) -> Tensor:
    generators = [torch.Generator().manual_seed(segment_seed(seed, index)) for seed in video.seeds]
    return draw_noise(len(generators), grid.shape(video.segment_frames, video.height, video.width), generators)


def segment_seed(seed: int, index: int) -> int:
    """The seed itself for segment 0, then independent ones, so that a segment can be made again without those before it."""
    if index == 0:
        return seed
    return int(np.random.SeedSequence([seed % 2**64, index]).generate_state(1, np.uint64)[0] >> 1)


def _movement(pipeline: SegmentMaker, person: ConditionInputs, video: LongVideo, index: int) -> ConditionInputs:
    """The person with sound and tracks of one segment; of the whole sound each segment's window is encoded alone, as in training."""
    start, _ = video.span(index)
    begin = round(start / pipeline.config.fps * video.sample_rate)
    rows = torch.arange(start, start + video.segment_frames)
    tracks = {name: track[:, rows.clamp_max(track.shape[1] - 1)] for name, track in video.tracks.items()}
    return pipeline.encode_movement(person, video.audio, tracks, video.segment_frames, video.height, video.width, begin)
