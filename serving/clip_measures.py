"""What can be measured of a made video without knowing the truth: read from the file itself, named for what it is.

None of it is Sync-C or CSIM: no network for lip-sync or faces is used beside the profile's keypoint detector.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from curation.bucket import into_bucket
from curation.people.keypoints import KeypointDetector, detect, mouth_opening
from curation.scores.sound.mouth_audio import mouth_audio_correlation, mouth_audio_lag_frames, mouth_visibility
from media import decode_clip
from media.speech.mouth_and_sound import envelope
from profiles.schema import VideoConfig
from serving.generation import Prepared

GRID = 8  # parts of a picture along an edge whose mean colours are compared
UNMARKED = 7  # rows of the grid that the visible mark never reaches: it is lower than an eighth of the picture
LONGEST = 20.0  # seconds that are looked at


@dataclass(frozen=True)
class ClipMeasure:
    """`value` is NaN where it has no meaning for this clip; `meaning` says what to read it against."""

    name: str
    value: float
    unit: str
    meaning: str

    def shown(self) -> str:
        """For people."""
        return "–" if math.isnan(self.value) else f"{self.value:.3f} {self.unit}".strip()


def measure_video(path: Path, prepared: Prepared, detector: KeypointDetector, video: VideoConfig) -> list[ClipMeasure]:
    """Measure the first seconds of an mp4 that was made of `prepared`.

    Args:
        path: of the video.
        prepared: its reference and sound are what the video is compared with.
        detector: finds the mouth.
        video: rates.

    Raises:
        MediaError: the file cannot be decoded.
    """
    frames = read_made(path, prepared, video)
    return [*_mouth(frames, prepared, detector, video), *_colour(frames, prepared)]


def read_made(path: Path, prepared: Prepared, video: VideoConfig) -> np.ndarray:
    """`(T, H, W, 3)` uint8 of the first seconds of an mp4 that was made of `prepared`, at the model's size. Raises MediaError."""
    size = prepared.video
    bucket = video.main.model_copy(update={"height": size.height, "width": size.width, "frames": size.segment_frames})
    return decode_clip(path, video.fps, video.sample_rate, LONGEST, into_bucket(bucket)).frames


def _mouth(
    frames: np.ndarray, prepared: Prepared, detector: KeypointDetector, video: VideoConfig
) -> Iterator[ClipMeasure]:
    opening = mouth_opening(detect(detector, frames).keypoints)
    correlation = lag = math.nan
    if prepared.inputs.sound is not None:
        heard = envelope(prepared.inputs.sound.samples, len(frames), video.fps, video.sample_rate)
        correlation, lag = mouth_audio_correlation(opening, heard), mouth_audio_lag_frames(opening, heard)
    yield ClipMeasure(
        "mouth follows the sound",
        correlation,
        "r",
        f"opening of the mouth against loudness; 1 is best, 0 is chance (mouth by {detector.name})",
    )
    yield ClipMeasure(
        "mouth comes after the sound", lag / video.fps * 1000, "ms", "the delay at which the two agree best; 0 is best"
    )
    yield ClipMeasure(
        "mouth is seen", mouth_visibility(opening), "of the frames", "the two above mean little where this is low"
    )


def _colour(frames: np.ndarray, prepared: Prepared) -> Iterator[ClipMeasure]:
    reference = prepared.inputs.reference
    made = np.mean([_grid(image) for image in frames], axis=0)
    away = math.nan if reference is None else float(np.abs(made - _grid(reference.image))[:UNMARKED].mean())
    yield ClipMeasure(
        "colours differ from the picture",
        away,
        "RGB 0-1",
        f"mean over {GRID}x{UNMARKED} parts above the mark; 0 is the same",
    )


def _grid(image: np.ndarray) -> np.ndarray:
    """`(GRID, GRID, 3)` mean colours in [0, 1]."""
    return cv2.resize(image.astype(np.float32) / 255.0, (GRID, GRID), interpolation=cv2.INTER_AREA)
