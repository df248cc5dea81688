"""The mouth that a rendered person has in space is the one that its speech gave it."""

import numpy as np
import pytest

from networks.mouth_from_sound.predictor import load_mouth_from_sound
from people.render import render
from people.speech.visemes import UNITS, opening


@pytest.mark.parametrize("seed", [50_000, 50_003])
def test_lips_part_in_space_as_units_say_and_as_the_sound_lets_expect(seed):
    person = render(seed, frames=41, size=64, split="held_out", samples=1)
    mouth = person.units[:, [person.unit_names.index(name) for name in UNITS]]
    assert np.corrcoef(opening(mouth), person.opening)[0, 1] > 0.999
    assert person.audio is not None
    heard = load_mouth_from_sound()(person.audio, person.fps, 41)
    assert np.corrcoef(heard, person.opening)[0, 1] > 0.75
    assert np.corrcoef(heard[6:], person.opening[:-6])[0, 1] < 0.4
