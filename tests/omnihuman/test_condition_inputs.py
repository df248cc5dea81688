"""The one value that drives the transformer: it unpacks into forward's keywords, and changes leave the old one alone."""

import inspect
from dataclasses import fields

import pytest
import torch

from omnihuman import OmniHumanTransformer3DModel
from omnihuman.conditions.inputs import ConditionInputs
from profiles.conditions import MASKED

TEXT, AUDIO = torch.zeros(2, 3, 4), torch.ones(2, 5)


def every_input() -> ConditionInputs:
    return ConditionInputs(**{field.name: torch.full((2, 1), i) for i, field in enumerate(fields(ConditionInputs))})


def test_it_unpacks_into_exactly_the_condition_keywords_of_forward():
    keywords = set(inspect.signature(OmniHumanTransformer3DModel.forward).parameters)
    beside = {"self", "hidden_states", "timestep", "return_dict", "attention_kwargs"}
    assert set(every_input()) == keywords - beside
    assert {*MASKED, *(f"{name}_mask" for name in MASKED)} < set(every_input())


def test_what_is_not_given_is_no_keyword():
    inputs = ConditionInputs(TEXT, audio=AUDIO)
    assert dict(**inputs) == {"encoder_hidden_states": TEXT, "audio": AUDIO} and len(inputs) == 2
    assert "pose" not in inputs and inputs["audio"] is AUDIO
    for absent in ("pose", "text", "sound"):
        with pytest.raises(KeyError, match=absent):
            inputs[absent]


def test_it_comes_back_from_its_keywords():
    inputs = every_input()
    again = ConditionInputs.of(dict(inputs))
    assert all(getattr(again, field.name) is getattr(inputs, field.name) for field in fields(inputs))
    with pytest.raises(TypeError, match="sound"):
        ConditionInputs.of({"encoder_hidden_states": TEXT, "sound": AUDIO})


def test_changes_make_a_new_one():
    inputs = ConditionInputs(TEXT, audio=AUDIO, audio_mask=AUDIO[:, 0])
    silent, other = inputs.without("audio"), inputs | {"encoder_hidden_states": TEXT + 1}
    assert set(silent) == {"encoder_hidden_states"} and inputs["audio"] is AUDIO
    assert torch.equal(other.text, TEXT + 1) and other.audio is AUDIO and torch.equal(inputs.text, TEXT)
    assert inputs.repeated(3).audio.shape == (6, 5)
    assert torch.equal(inputs.each(lambda value: value * 2)["audio"], AUDIO * 2)
