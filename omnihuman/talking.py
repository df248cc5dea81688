"""Sizes and lengths: the windows that a model makes, and videos of many of them."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers.utils import BaseOutput, logging
from torch import Tensor

from media.speech.length import LONGEST_UNASKED, frames_of_sound, frames_together
from media.speech.level import RATE
from omnihuman.autoencoder import LatentGrid
from omnihuman.bases.quantised import quantised_as
from omnihuman.conditions.activation import activate_conditions
from omnihuman.conditions.pictures import Pictures, fit_reference, to_reference
from omnihuman.conditions.prompts import clean_prompt
from omnihuman.conditions.sounds import Sounds, to_sounds
from omnihuman.digests import SOURCE
from omnihuman.errors import InputError
from omnihuman.exporting.making import Making
from omnihuman.guidance import OmniHumanGuidance, record_of_guidance
from omnihuman.long_video import LongVideo, SegmentMaker, generate_segments

logger = logging.get_logger(__name__)
WINDOW = 17  # frames of a clip where neither caller nor model says how many
MOST_BYTES = 16 * 2**30  # of frames that `talk` holds at once


@dataclass
class OmniHumanOutput(BaseOutput):
    """`frames`: as `output_type` says, by default `(B, T, H, W, 3)` uint8;
    `conditions`: what was on, what was off and why, and by what the video is driven;
    `making`: how it was made, where it is one video."""

    frames: Any
    conditions: dict[str, object] = field(default_factory=dict)
    making: Making | None = None

    def save(self, path: str | Path, mark: bool = True) -> Path:
        """Write one video as `omnihuman generate` does: marked, and signed as the last write.

        Args:
            path: FILE.mp4, or a folder for PNG frames.
            mark: the visible "AI-generated"; without it you are answerable for telling viewers.

        Raises:
            InputError: several videos, latents, or frames of another `output_type`.
            provenance.settings.ProvenanceError: it cannot be signed.
        """
        from omnihuman.exporting.saving import save_output

        return save_output(self.frames, self.making, self.conditions, Path(path), mark)


class Talking(SegmentMaker):
    """The part of `OmniHumanPipeline` that makes videos as long as their sound or pose."""

    def talk(
        self,
        image: Pictures | None,
        audio: Sounds | None = None,
        prompt: str = "A person talks.",
        sample_rate: int = RATE,
        seconds: float | None = None,
        seed: int = 0,
        num_inference_steps: int | None = None,
        guidance: OmniHumanGuidance | None = None,
        height: int | None = None,
        width: int | None = None,
        pose: Tensor | None = None,
    ) -> OmniHumanOutput:
        """One video as long as its sound, or without sound as its pose, of as many windows as that takes (`omnihuman.long_video`).

        Args:
            image: one picture, or None.
            audio: one sound, or None.
            prompt: a caption.
            sample_rate: of samples in `audio`, Hz.
            seconds: another length: shorter leaves sound and pose out, longer goes on in silence.
            seed: of the noise.
            num_inference_steps, guidance, height, width: as in `__call__`.
            pose: `(1, T, 133, 3)` as in `__call__`; frames past the video's are left out.

        Returns:
            `frames` `(1, T, H, W, 3)` uint8: they are held in memory, where `omnihuman generate` writes a file as it goes.

        Raises:
            InputError: as `__call__`, or several pictures or sounds, a pose that ends before the video, no length, or more than
                `LONGEST_UNASKED` seconds that nobody asked for, or more than `MOST_BYTES` of frames.
        """
        reference, (height, width) = fit_reference(
            None if image is None else to_reference(image), height, width, self.shapes(), self.multiple
        )
        sound = None if audio is None else to_sounds(audio, sample_rate, 1, round(RATE / self.config.fps))
        given = {
            name: value
            for name, value in (("reference", reference), ("audio", sound), ("pose", pose))
            if value is not None
        }
        if any(len(value) != 1 for value in given.values()):
            raise InputError("talk makes one video: give one picture and one sound, and call it again for the next")
        frames = self._frames_to_make(sound, pose, seconds)
        if (held := 3 * frames * height * width) > MOST_BYTES:
            raise InputError(
                f"talk holds all frames in memory, here {held / 2**30:.0f} GiB; `omnihuman generate` writes a file as it goes, and "
                "omnihuman.long_video.generate_segments gives a segment at a time"
            )
        video = LongVideo(
            [prompt],
            reference,
            sound,
            {} if pose is None else {"pose": pose},
            frames,
            self._window(height, width),
            [seed],
            height,
            width,
            num_inference_steps,
            guidance,
        )
        active = activate_conditions([*given, *["text"] * bool(clean_prompt(prompt))])
        pipeline: Any = self  # a part of it
        made = torch.cat([segment.frames.cpu() for segment in generate_segments(pipeline, video)], dim=1)
        steps = num_inference_steps or self.config.num_inference_steps
        making = self.making(
            prompt, None if sound is None else sound[0], seed, steps, self.choose_guidance(steps, guidance=guidance)
        )
        return OmniHumanOutput(frames=made, conditions=active.record(), making=making)

    def _frames_to_make(self, sound: Tensor | None, pose: Tensor | None, seconds: float | None) -> int:
        if seconds is None and sound is not None and sound.shape[1] > LONGEST_UNASKED * RATE:
            raise InputError(
                f"the sound lasts {sound.shape[1] / RATE:.0f} s; more than {LONGEST_UNASKED:g} s are made only with seconds="
            )
        if seconds is not None and not 0 < seconds < math.inf:
            raise InputError(f"seconds={seconds:g} is no length; give a number above 0")
        fps = self.config.fps
        of_sound = None if sound is None else frames_of_sound(sound.shape[1], fps, RATE)
        frames = frames_together(seconds, fps, of_sound, None if pose is None else pose.shape[1])
        if frames is None:
            raise InputError("nothing says how long the video is to be; give a sound, a pose, or seconds=")
        frames = max(1, frames)
        if pose is not None and pose.shape[1] < frames:
            raise InputError(
                f"the pose has {pose.shape[1]} frames at {fps:g} fps and {frames} are to be made; give a longer one, or "
                f"seconds={pose.shape[1] / fps:g}"
            )
        return frames

    def making(
        self, prompt: str, sound: Tensor | None, seed: int | None, steps: int, guidance: OmniHumanGuidance | None
    ) -> Making:
        """How one video was made, for its file."""
        pipeline: Any = self  # a part of it
        return Making(
            str(self.config.get(SOURCE) or ""),
            seed,
            steps,
            record_of_guidance(guidance),
            prompt,
            None if sound is None else sound.float().cpu().numpy(),
            self.config.fps,
            pipeline.loras(),
            quantised=quantised_as(pipeline.transformer),
        )

    def shapes(self) -> list[tuple[int, int]]:
        return [(height, width) for _, height, width in self.config.buckets]

    @property
    def multiple(self) -> int:
        """Pixels of a token along an axis: heights and widths are multiples of it."""
        return LatentGrid.of(self.vae).stride * int(self.transformer.patch[1])

    def _window(self, height: int, width: int) -> int:
        """Frames of a window of this size, else of the model's first, else `WINDOW`."""
        windows = {(high, wide): frames for frames, high, wide in reversed(self.config.buckets)}
        return windows.get((height, width), self.config.buckets[0][0] if self.config.buckets else WINDOW)

    def frames_for(self, sound: Tensor | None, num_frames: int | None, height: int, width: int) -> int:
        asked = num_frames is not None
        frames = num_frames if num_frames is not None else self._window(height, width)
        if frames % 4 != 1 or frames < 1:
            raise InputError(f"num_frames is 4n+1 (the causal autoencoder): 1, 5, 9 and so on, got {frames}")
        # A frame more is no sound that anybody misses.
        if sound is not None and sound.shape[1] > (frames + 1) / self.config.fps * RATE:
            lasts, made = f"the sound lasts {sound.shape[1] / RATE:.2f} s", f"{frames / self.config.fps:.2f} s"
            if not asked:
                raise InputError(
                    f"{lasts} and one window {made}: pipe.talk(image, audio) makes a video as long as the sound; num_frames={frames} "
                    "makes its beginning"
                )
            logger.warning(f"{lasts} and the video {made}: the rest is not heard")
        return frames
