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
    prompts, given = share_out(["a"], {"reference": torch.zeros(1, 64, 64, 3), "audio": torch.ones(3, 7)})
    assert prompts == ["a"] * 3 and {name: value.shape for name, value in given.items()} == {
        "reference": (3, 64, 64, 3), "audio": (3, 7),
    }  # fmt: skip


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="prompt: 2, audio: 3"):
        share_out(["a", "b"], {"audio": torch.ones(3, 7)})
    with pytest.raises(ValueError, match="prompt: 0"):
        share_out([], {})
