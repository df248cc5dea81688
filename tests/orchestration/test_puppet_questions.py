"""Commands that ask of long videos and of conditions take a model of people as one of people; those that read puppets alone say so before they make anything."""

import pytest

from assets.core.workspace import Workspace
from media.records import TrainedOnRecord
from orchestration.commands import subjects
from orchestration.commands.options import CommandError
from profiles import load_profile
from serving.model_choice import LoadedModel


def loaded(clips):
    record = None if clips is None else TrainedOnRecord({"snapshot": "5a" * 32, "clips": clips})
    return LoadedModel("the pipeline", "omnihuman-student version 3", "w", "5a" * 32, trained_on=record)


PEOPLE, BOTH = {"people": 40}, {"people": 40, "puppets": 300}


@pytest.mark.parametrize(("clips", "refused"), [(PEOPLE, True), (BOTH, False), (None, False)])
def test_a_model_of_people_is_refused_and_one_that_has_seen_puppets_or_has_no_record_is_not(clips, refused, tmp_path):
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    if not refused:
        assert subjects.pipeline_of_puppets(workspace, loaded(clips)) == "the pipeline"
        return
    with pytest.raises(CommandError, match=r"version 3 was trained on .*40.*by their exact truth.*benchmark_scores"):
        subjects.pipeline_of_puppets(workspace, loaded(clips))


@pytest.mark.parametrize(
    ("profile", "clips", "people"),
    [
        ("laptop", PEOPLE, True),
        ("laptop", BOTH, False),
        ("laptop", None, False),
        ("people", BOTH, True),
        ("people", None, True),
        ("people", {"puppets": 300}, False),
    ],
)
def test_who_is_made_is_whom_the_model_has_seen_and_else_who_judges(profile, clips, people, tmp_path):
    assert subjects.shows_people(Workspace(tmp_path, load_profile(profile, [])), loaded(clips)) is people


def test_people_whom_nothing_here_can_read_are_refused_with_the_remedy(tmp_path):
    with pytest.raises(
        CommandError, match="encoders.keypoints of profile laptop finds none of theirs; set it to mediapipe"
    ):
        subjects.eyes_for_people(Workspace(tmp_path, load_profile("laptop", [])))


def test_a_profile_that_is_judged_by_people_has_no_benchmark_of_puppets(tmp_path):
    workspace = Workspace(tmp_path, load_profile("people", []))
    with pytest.raises(CommandError, match="profile people is judged by rendered_people, packaged.*benchmark_scores"):
        subjects.benchmark_of_puppets(workspace)
