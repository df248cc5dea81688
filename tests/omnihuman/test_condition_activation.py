"""Which conditions are on: the paper's rule, its exceptions, and refusals that say why."""

import pytest

from omnihuman.conditions.activation import ConditionError, activate_conditions
from profiles.conditions import CONDITIONS

ALL = set(CONDITIONS)


@pytest.mark.parametrize(
    ("given", "activate", "without", "on", "driven_by"),
    [
        (ALL, None, (), CONDITIONS, "pose and audio"),
        (ALL, "pose", (), CONDITIONS, "pose and audio"),
        (ALL, "audio", (), ("text", "reference", "audio"), "audio"),
        (ALL, "reference", (), ("text", "reference"), "reference only"),
        (ALL, "pose", ("audio",), ("text", "reference", "pose"), "pose only"),
        (ALL - {"audio"}, None, (), ("text", "reference", "pose"), "pose only"),
        (ALL - {"pose"}, None, (), ("text", "reference", "audio"), "audio"),
        ({"text"}, None, (), ("text",), "text only"),
        ({"text"}, "text", (), ("text",), "text only"),
        ({"audio", "reference"}, "audio", ("text",), ("reference", "audio"), "audio"),
    ],
)
def test_an_activated_condition_takes_the_weaker_ones_with_it(given, activate, without, on, driven_by):
    active = activate_conditions(given, activate, without)
    assert active.on == on and active.driven_by == driven_by
    assert {*active.on, *dict(active.off)} == ALL and len(active.on) + len(active.off) == len(ALL)


def test_what_is_off_says_why():
    record = activate_conditions({"text", "reference", "pose"}, "reference", ("text",)).record()
    assert record == {
        "on": ["reference"],
        "driven_by": "reference only",
        "off": {
            "text": "left out on request",
            "audio": "not given",
            "pose": "stronger than reference, which was activated",
        },
    }


@pytest.mark.parametrize(
    ("given", "activate", "without", "message"),
    [
        ({"audio"}, "audio", (), "prompt and image were not given: give them, or leave out on purpose"),
        ({"text", "audio"}, "audio", (), "image was not given: give it"),
        ({"text", "reference", "pose"}, "pose", (), "audio was not given"),
        ({"text"}, "audio", ("reference",), "audio was not given"),
        (ALL, "audio", ("audio",), "both activated and left out"),
        (ALL, None, CONDITIONS, "no condition is on"),
        ((), None, (), "no condition is on"),
        (ALL, "voice", (), "no condition voice"),
        (ALL, None, ("depth",), "no condition depth"),
    ],
)
def test_a_refused_combination_says_why(given, activate, without, message):
    with pytest.raises(ConditionError, match=message):
        activate_conditions(given, activate, without)


def test_conditions_are_named_by_what_a_person_gives_or_by_what_the_project_calls_them():
    by_option = activate_conditions({"prompt", "image", "audio", "pose"}, "audio", ("prompt",))
    assert by_option == activate_conditions(ALL, "audio", ("text",)) and by_option.on == ("reference", "audio")
    with pytest.raises(ConditionError, match="image is both activated and left out"):
        activate_conditions(ALL, "reference", ("image",))
