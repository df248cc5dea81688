"""How many pictures a sound takes, and a sound as long as its pictures."""

import math

import numpy as np

LONGEST_UNASKED = 600.0  # seconds: an hour of sound is more likely a mistake than a wish
LONGEST_ASKED = 6 * 3600.0  # seconds of one video, however they were asked for: its sound is held in memory
# Of a frame: files declare their length to the millisecond, and so little sound is not worth a picture.
REMNANT = 0.05
# A film's sound ends within one frame of its codec (64 ms at most) after the last picture, which is less than a picture more.
SAME_END = 1


def frames_of_sound(samples: int, fps: float, sample_rate: int) -> int:
    """At least 1."""
    return max(1, math.ceil(samples / sample_rate * fps - REMNANT))


def frames_together(seconds: float | None, fps: float, of_sound: int | None, of_track: int | None) -> int | None:
    """Length of a video in frames: as asked, else of its sound, else of its shortest track; None where nothing says.

    Sound that goes on after the track by no more than the rest of its last frame ends with it.
    """
    if seconds is not None:
        return round(seconds * fps)
    if of_sound is None:
        return of_track
    same_end = of_track is not None and 0 < of_sound - of_track <= SAME_END
    return of_track if same_end else of_sound


def fitted(samples: np.ndarray, length: int) -> np.ndarray:
    """Cut, or filled up with silence: the sound lasts exactly as long as the pictures. A sound that is long enough is not copied."""
    return samples[:length] if len(samples) >= length else np.pad(samples, (0, length - len(samples)))
