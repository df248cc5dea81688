"""What `benchmarks.generation.joints` calls a spread: none where only chance makes positions differ."""

import numpy as np

from benchmarks.generation.joints import spread


def clips(pulse: float) -> np.ndarray:
    """`(24, 12)`: 0.8, 3 % of chance in each, and one position that is softer by `pulse`."""
    sharpness = np.random.default_rng(1).normal(0.8, 0.8 * 0.03, (24, 12))
    sharpness[:, 4] -= 0.8 * pulse
    return sharpness


def test_chance_is_no_spread():
    value, half = spread(clips(0.0))
    mean = clips(0.0).mean(axis=0)
    assert abs(value) < half < np.ptp(mean) / mean.mean()


def test_a_pulse_is_found_within_the_interval():
    value, half = spread(clips(0.05))
    assert abs(value - 0.05) < half < 0.03
