"""Videos come back with the pixels that they were given."""

import numpy as np
import pytest

from media.encode import decode_lossless, encode_lossless


@pytest.mark.parametrize("shape", [(3, 64, 64), (2, 7, 13), (2, 34, 66)])
def test_noise_comes_back_exactly_at_any_size(shape):
    frames = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    frames[0, :, :, 0] = 255
    data = encode_lossless(frames, 16.0)
    assert np.array_equal(decode_lossless(data), frames)
    assert encode_lossless(frames, 16.0) == data, "the same frames are the same bytes"


def test_what_hardly_moves_is_a_small_part_of_its_pixels():
    ramp = np.broadcast_to(np.arange(64, dtype=np.uint8)[None, None, :, None], (8, 64, 64, 3))
    assert len(encode_lossless(ramp, 16.0)) < ramp.size / 8
