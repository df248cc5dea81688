"""The one table of the conditions, and what must have a field for each of its rows."""

import inspect
from dataclasses import fields
from itertools import pairwise
from typing import get_args

from omnihuman.pipeline import OmniHumanPipeline
from orchestration.commands.video import generate
from profiles import load_profile
from profiles.conditions import (
    CONDITIONS,
    MASKED,
    STRONGEST,
    SUBSETS,
    TABLE,
    TRACKS,
    ConditionName,
    ConditionWord,
    condition_named,
)
from profiles.stages import RATIO_PRESETS, Ratios
from serving.inputs import READERS
from training.data.conditions import Conditions


def test_every_row_has_its_field_wherever_one_is_written_out():
    assert get_args(ConditionName) == CONDITIONS == tuple(field.name for field in fields(Conditions))
    assert tuple(name for name in Ratios.model_fields if name in CONDITIONS) == CONDITIONS
    assert all(tuple(preset) == CONDITIONS for preset in RATIO_PRESETS.values())
    assert set(get_args(ConditionWord)) == {word for row in TABLE for word in (row.name, row.option)}


def test_every_subset_has_a_predicate_and_every_stage_its_strongest_condition():
    profile = load_profile("laptop")
    assert tuple(row.name for row in TABLE if row.subset) == SUBSETS
    assert all(getattr(profile.curation, name) for name in SUBSETS)
    assert STRONGEST == {"stage_1": "reference", "stage_2": "audio", "stage_3": "pose"}
    assert all(getattr(profile, stage).ratios.model_dump()[name] > 0 for stage, name in STRONGEST.items())


def test_people_and_project_mean_the_same_condition_by_either_word():
    meant = {word: condition_named(word) for word in get_args(ConditionWord)}
    words = {
        "prompt": "text",
        "image": "reference",
        "audio": "audio",
        "pose": "pose",
        "text": "text",
        "reference": "reference",
    }
    assert meant.items() >= words.items() and set(meant.values()) == set(CONDITIONS)
    assert condition_named("sound") is None


def test_people_can_give_every_row():
    assert {row.option for row in TABLE} <= inspect.signature(OmniHumanPipeline.__call__).parameters.keys()
    assert {row.option for row in TABLE} <= inspect.signature(generate).parameters.keys()
    assert set(READERS) == set(TRACKS) == set(MASKED) - {"reference", "audio"}
    assert all(row.asked for row in TABLE if row.file)


def test_no_two_conditions_share_a_colour_or_an_option():
    assert all(len({getattr(row, kind) for row in TABLE}) == len(TABLE) for kind in ("name", "option", "colour"))
    assert all(weaker.stage <= stronger.stage for weaker, stronger in pairwise(TABLE))
