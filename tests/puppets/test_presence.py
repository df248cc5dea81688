"""A puppet is known by its own looks: every kind of it, coded or not, and nothing else."""

import numpy as np
import pytest

from media import decode_clip, encode_clip
from puppets import KINDS, PuppetKeypoints, is_puppet, render


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_puppet_in_every_frame(kind):
    for seed in range(8):
        clip = render(seed, kind, 9)
        assert (
            is_puppet(clip.frames).all()
            and is_puppet(decode_clip(encode_clip(clip.frames, clip.fps), clip.fps).frames).all()
        )


def others() -> dict[str, np.ndarray]:
    """Pictures of 64 x 64 pixels that show no puppet."""
    rng = np.random.default_rng(0)
    bars = np.array(
        [(255, 255, 255), (255, 255, 0), (0, 255, 255), (0, 255, 0), (255, 0, 255), (255, 0, 0), (0, 0, 255), (0, 0, 0)]
    )
    faceless = render(3, frames=5).frames[0].copy()
    faceless[15:24, 20:44] = faceless[25, 21]  # skin where the eyes were
    return {
        "noise": rng.integers(0, 256, (64, 64, 3)),
        "weak noise": 128 + rng.integers(-6, 7, (64, 64, 3)),
        "colour bars": np.repeat(np.repeat(bars[None], 64, axis=0), 8, axis=1),
        "grey": np.full((64, 64, 3), 128),
        "a puppet without eyes": faceless,
        "a puppet upside down": render(4, frames=5).frames[0][::-1],
    }


@pytest.mark.parametrize("name", others())
def test_nothing_else_is_and_no_keypoint_is_read_of_it(name):
    frames = others()[name].astype(np.uint8)[None]
    assert not is_puppet(frames).any() and (PuppetKeypoints()(frames) == 0).all()


def test_pictures_of_another_size_are_none():
    assert not is_puppet(np.zeros((2, 48, 80, 3), np.uint8)).any()
