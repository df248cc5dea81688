"""Stages beside their floors: turns, and floors that do what they say."""

import time

import numpy as np
import pytest

from benchmarks import data_path
from media import decode_clip, encode_clip


def busy(seconds: float) -> None:
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass


def test_medians_of_turns_without_the_first():
    order: list[str] = []

    def ours() -> None:
        order.append("ours")
        busy(0.02 if len(order) > 2 else 0.1)

    def floor() -> None:
        order.append("floor")
        busy(0.01)

    stage = data_path.beside("work", ours, floor, 3)
    assert order == ["floor", "ours", "ours", "floor"] * 2
    assert stage.ours == pytest.approx(0.02, rel=0.3) and stage.ratio == stage.ours / stage.floor
    assert data_path.Stage("work", 0.02, 0.01).row() == "| work | 20 | 10 | **2.00** |"


def test_bare_decoding_gives_the_same_pictures():
    rng = np.random.default_rng(0)
    frames = np.repeat(rng.integers(0, 256, (1, 4, 4, 3), np.uint8), 16, axis=1).repeat(16, axis=2).repeat(9, axis=0)
    data = encode_clip(frames, 16.0, rng.standard_normal(9000).astype(np.float32) * 0.1)
    pictures, sounds = data_path.bare_decoding(data)
    assert np.abs(np.stack(pictures).astype(int) - decode_clip(data, 16.0).frames).max() <= 3
    assert sum(sound.shape[-1] for sound in sounds) >= 9000
