"""Commands that read puppets by their exact truth say so of a model, or of a profile, of people, before they make anything."""

import pytest

from assets.core.workspace import Workspace
from media.records import TrainedOnRecord
from orchestration.commands import judging
from orchestration.commands.options import CommandError
from profiles import load_profile
from serving import model_choice
from serving.model_choice import LoadedModel


@pytest.mark.parametrize(
    ("clips", "refused"), [({"people": 40}, True), ({"people": 40, "puppets": 300}, False), (None, False)]
)
def test_a_model_of_people_is_refused_and_one_that_has_seen_puppets_or_has_no_record_is_not(
    clips, refused, tmp_path, monkeypatch
):
    record = None if clips is None else TrainedOnRecord({"snapshot": "5a" * 32, "clips": clips})
    loaded = LoadedModel("the pipeline", "omnihuman-student version 3", "w", "5a" * 32, trained_on=record)
    monkeypatch.setattr(model_choice, "load_model", lambda workspace, address: loaded)
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    if not refused:
        assert judging._pipeline_of_puppets(workspace, "champion") == "the pipeline"
        return
    with pytest.raises(CommandError, match=r"version 3 was trained on .*40.*by their exact truth.*benchmark_scores"):
        judging._pipeline_of_puppets(workspace, "champion")


def test_a_profile_that_is_judged_by_people_has_no_benchmark_of_puppets(tmp_path):
    workspace = Workspace(tmp_path, load_profile("people", []))
    with pytest.raises(CommandError, match="profile people is judged by rendered_people, packaged.*benchmark_scores"):
        judging._benchmark_of_puppets(workspace)
