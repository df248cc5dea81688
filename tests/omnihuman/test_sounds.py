"""Several sounds for one person: padded, shared out, and refused where the numbers do not fit."""

import numpy as np
import pytest
import torch

from omnihuman.conditions.sounds import share_out, to_sounds


def test_a_list_is_as_long_as_its_longest_and_the_rest_is_silence():
    sounds = to_sounds([np.ones(3, np.float32), torch.ones(5)])
    assert sounds.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]] and sounds.dtype == torch.float32
    assert to_sounds(torch.ones(4)).shape == (1, 4) and to_sounds(np.ones((2, 4)), clips=2).shape == (2, 4)


@pytest.mark.parametrize("audio", [[torch.ones(2, 3)], torch.ones(1, 2, 3), torch.ones(20, 30)])
def test_other_shapes_are_refused(audio):
    with pytest.raises(ValueError, match=r"\(S,\)"):
        to_sounds(audio)


def test_one_picture_and_prompt_serve_all_sounds():
    prompts, reference, audio, keypoints = share_out(["a"], torch.zeros(1, 64, 64, 3), torch.ones(3, 7), None)
    assert prompts == ["a"] * 3 and reference.shape == (3, 64, 64, 3) and audio.shape == (3, 7) and keypoints is None


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 prompts, 3 sounds"):
        share_out(["a", "b"], None, torch.ones(3, 7), None)
    with pytest.raises(ValueError, match="0 prompts"):
        share_out([], None, None, None)
