"""Videos longer than the model's window: segments joined by motion frames (OmniHuman-1 section 3.4).

Each segment is `segment_frames` new frames. The 5 frames before it are encoded alone, as in training, and packed as 2 clean
latents at negative times. They are taken from the decoded picture before it is rounded to 8 bits. The decoder's state is not
carried over: a segment's first latent is one frame by itself, as the model learned it, where a state would make four of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from omnihuman.autoencoder import decode_video, encode_video, to_frames
from omnihuman.guidance import OmniHumanGuidance
from omnihuman.pipeline import OmniHumanPipeline

MOTION_FRAMES = 5


@dataclass(frozen=True)
class LongVideo:
    """What to make. B videos at a time.

    Attributes:
        prompts: B captions.
        reference: `(B, H, W, 3)` uint8 or None.
        audio: `(B, S)` float at `sample_rate`, or None; past its end there is silence.
        keypoints: `(B, T, 133, 3)` or None; past their end the last pose stays.
        frames: of the whole video.
        segment_frames: of one segment, 4n+1; what the model was trained on.
        seeds: B; segment 0 starts from `torch.Generator().manual_seed(seed)`, as a single clip does.
        height, width: multiples of 16.
        steps: sampling steps, None for the model's own.
        guidance: None for the model's own.
        sample_rate: of `audio` in Hz.
        joined: False makes every segment by itself, without motion frames: what joining is measured against.
    """

    prompts: Sequence[str]
    reference: Tensor | None
    audio: Tensor | None
    keypoints: Tensor | None
    frames: int
    segment_frames: int
    seeds: Sequence[int]
    height: int
    width: int
    steps: int | None = None
    guidance: OmniHumanGuidance | None = None
    sample_rate: int = 16_000
    joined: bool = True

    def __post_init__(self) -> None:
        if self.frames < 1 or self.segment_frames % 4 != 1 or self.segment_frames < MOTION_FRAMES:
            raise ValueError(
                f"a video has at least one frame and segments of 4n+1, at least {MOTION_FRAMES}; got {self.frames} frames in "
                f"segments of {self.segment_frames}"
            )
        if len(self.seeds) != len(self.prompts):
            raise ValueError(f"{len(self.seeds)} seeds for {len(self.prompts)} prompts")

    @property
    def segments(self) -> int:
        """How many; the last one is cut to what is left."""
        return -(-self.frames // self.segment_frames)


@dataclass(frozen=True)
class Segment:
    """One finished part.

    Attributes:
        index: from 0.
        start: number of its first frame in the whole video.
        frames: `(B, T, H, W, 3)` uint8.
        latents: `(B, 16, F, h, w)` of the uncut segment.
        motion: `(B, 16, 2, h, w)` of its last 5 frames: what the next segment starts from.
    """

    index: int
    start: int
    frames: Tensor
    latents: Tensor
    motion: Tensor


@torch.no_grad()
def generate_segments(
    pipeline: OmniHumanPipeline, video: LongVideo, first: int = 0, motion: Tensor | None = None
) -> Iterator[Segment]:
    """Make the segments from `first` on, one at a time; nothing of an earlier one is kept but its motion latents.

    Args:
        pipeline: teacher or student.
        video: what to make.
        first: segments before it are there already.
        motion: `Segment.motion` of the one before `first`.

    Raises:
        ValueError: `first` is past 0 and `motion` is missing.
    """
    if first and motion is None and video.joined:
        raise ValueError(f"segment {first} goes on from the motion latents of segment {first - 1}; give them")
    steps = video.steps or pipeline.config.num_inference_steps
    guidance = pipeline.choose_guidance(steps, guidance=video.guidance)
    person = pipeline.encode_person(video.prompts, video.reference)
    for index in range(first, video.segments):
        conditions = person | _movement(pipeline, video, index)
        if motion is not None and video.joined:
            conditions["motion"] = motion.to(pipeline.transformer.device, pipeline.transformer.dtype)
        latents = pipeline.sample(
            conditions, len(video.prompts), video.segment_frames, video.height, video.width, steps, guidance,
            [torch.Generator().manual_seed(segment_seed(seed, index)) for seed in video.seeds],
        )
        pixels = decode_video(pipeline.vae, latents)
        motion = encode_video(pipeline.vae, pixels[:, :, -MOTION_FRAMES:])
        start = index * video.segment_frames
        yield Segment(index, start, to_frames(pixels)[:, : video.frames - start], latents, motion)


def segment_seed(seed: int, index: int) -> int:
    """The seed itself for segment 0, then independent ones, so that a segment can be made again without those before it."""
    if index == 0:
        return seed
    return int(np.random.SeedSequence([seed % 2**64, index]).generate_state(1, np.uint64)[0] >> 1)


def _movement(pipeline: OmniHumanPipeline, video: LongVideo, index: int) -> dict[str, Tensor]:
    """Sound and pose of one segment; each segment's sound is encoded alone, as in training."""
    start = index * video.segment_frames
    audio = keypoints = None
    if video.audio is not None:
        begin = round(start / pipeline.config.fps * video.sample_rate)
        audio = video.audio[:, begin : begin + round(video.segment_frames / pipeline.config.fps * video.sample_rate)]
    if video.keypoints is not None:
        rows = torch.arange(start, start + video.segment_frames).clamp_max(video.keypoints.shape[1] - 1)
        keypoints = video.keypoints[:, rows]
    return pipeline.encode_movement(audio, keypoints, video.segment_frames, video.height, video.width)
