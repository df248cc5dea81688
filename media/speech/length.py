"""How many pictures a sound takes, and a sound as long as its pictures."""

import math

import numpy as np

LONGEST_UNASKED = 600.0  # seconds: an hour of sound is more likely a mistake than a wish
# Of a frame: files declare their length to the millisecond, and so little sound is not worth a picture.
REMNANT = 0.05


def frames_of_sound(samples: int, fps: float, sample_rate: int) -> int:
    """At least 1."""
    return max(1, math.ceil(samples / sample_rate * fps - REMNANT))


def fitted(samples: np.ndarray, length: int) -> np.ndarray:
    """Cut, or filled up with silence: the sound lasts exactly as long as the pictures. A sound that is long enough is not copied."""
    return samples[:length] if len(samples) >= length else np.pad(samples, (0, length - len(samples)))
