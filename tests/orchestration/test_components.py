"""The two components in a code location of somebody else, from a component.yaml as docs/extend/component.md shows it."""

import re
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

from assets.core.catalogue import STEPS
from assets.core.workspace import HOME_VARIABLE
from orchestration.components import RegistryPromotion, TrainingAssets
from orchestration.components.registry_promotion import Criterion
from orchestration.components.training_assets import PROFILE_VARIABLE, ComponentError
from tracking.registry import Registry
from tracking.tracker import Tracker

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "component.md"
SHOWN = {
    name: yaml.safe_load(text)
    for text in re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    for name in [text.split("\n")[0]]
}
ASSETS, PROMOTION = SHOWN.values()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in (HOME_VARIABLE, PROFILE_VARIABLE, "MLFLOW_TRACKING_URI"):
        monkeypatch.setenv(name, "kept until the end")
        monkeypatch.delenv(name)


def loaded(kind, body) -> dg.Definitions:
    """What a code location has whose `defs/ours/component.yaml` says this."""
    with create_defs_folder_sandbox() as sandbox:
        place = sandbox.scaffold_component(component_cls=kind, defs_path="ours", defs_yaml_contents=body)
        assert (place / "defs.yaml").is_file()
        (place / "defs.yaml").rename(place / "component.yaml")
        with sandbox.build_all_defs() as definitions:
            return definitions


def changed(body, **attributes):
    return {**body, "attributes": {**body["attributes"], **attributes}}


def names(definitions):
    return {key.to_user_string() for key in definitions.resolve_asset_graph().get_all_asset_keys()}


def test_the_page_shows_both():
    assert [body["type"].rsplit(".", 1)[1] for body in (ASSETS, PROMOTION)] == ["TrainingAssets", "RegistryPromotion"]


def test_training_assets_are_all_of_the_project_with_its_jobs_and_its_nightly_schedule(tmp_path):
    definitions = loaded(TrainingAssets, changed(ASSETS, home=str(tmp_path)))
    assert names(definitions) >= {*STEPS, "inbox", "nightly_decision"}
    assert {job.name for job in definitions.jobs} >= {"train_and_promote"} and len(list(definitions.schedules)) == 1
    (decision,) = [
        spec for spec in definitions.resolve_all_asset_specs() if spec.key.to_user_string() == "nightly_decision"
    ]
    assert decision.freshness_policy.fail_window.to_timedelta().total_seconds() == 26 * 3600


def test_some_groups_are_assets_alone(tmp_path):
    definitions = loaded(TrainingAssets, changed(ASSETS, home=str(tmp_path), groups=["curation"]))
    own = {name for name, step in STEPS.items() if step.group == "curation"}
    assert own and names(definitions) - {"inbox"} == own and not definitions.jobs and not definitions.schedules


@pytest.mark.parametrize(
    ("attributes", "variables", "why"),
    [
        ({"groups": ["cooking"]}, {}, "groups: cooking is none of curation, "),
        ({"home": "here"}, {}, "home is here; give an absolute path"),
        ({"home": "/a"}, {HOME_VARIABLE: "/b"}, r"home is /a and \$OMNIHUMAN_HOME is /b; say the same"),
        ({"profile": "people"}, {PROFILE_VARIABLE: "laptop"}, r"profile is people and \$OMNIHUMAN_PROFILE is laptop"),
    ],
)
def test_attributes_that_cannot_be_used_are_refused(attributes, variables, why, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ComponentError, match=why):
        TrainingAssets(**attributes).build_defs(None)


@pytest.fixture
def registry(tmp_path):
    """A model of anybody's: versions 1 to 3, whose runs logged accuracy and loss; the challenger is set by the tests."""
    found = Registry(Tracker(f"sqlite:///{tmp_path / 'mlflow.db'}"))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.txt").write_text("weights")
    client, home = found.tracker.client, found.tracker.experiment_id("any")
    for accuracy, loss in ((0.8, 0.5), (0.9, 0.5), (0.95, 0.7), (0.97, None)):
        run = client.create_run(home).info.run_id
        client.log_metric(run, "accuracy", accuracy)
        if loss is not None:
            client.log_metric(run, "loss", loss)
        found.register("any-model", tmp_path / "files", run)
    return found


def promote(registry, candidate, **attributes):
    """Materialize the component's asset with `candidate` as challenger; the check and what was said."""
    if candidate is not None:
        registry.set_alias("any-model", "challenger", candidate)
    body = changed(PROMOTION, registered_model="any-model", tracking_uri=registry.tracker.uri, **attributes)
    definitions = loaded(RegistryPromotion, body)
    result = definitions.resolve_job_def("promoted_any_model_job").execute_in_process()
    (check,) = result.get_asset_check_evaluations()
    (made,) = result.get_asset_materialization_events()
    metadata = made.materialization.metadata
    return check.passed, metadata["promoted"].value, metadata["checks"].value


def test_the_gate_promotes_refuses_and_keeps_the_old_champion_as_previous(registry):
    assert promote(registry, None) == (True, False, "no version of any-model is at alias challenger")
    assert promote(registry, 1)[:2] == (True, True)
    assert promote(registry, 1)[1:] == (False, "version 1 is champion already")
    assert promote(registry, 2)[:2] == (True, True)
    assert registry.aliases("any-model") == {"champion": 2, "challenger": 2, "previous": 1}
    passed, promoted, why = promote(registry, 3)
    assert (passed, promoted) == (False, False) and why == "loss is 0.7, the champion's 0.5, needed <= 0.51"
    assert promote(registry, 4)[1:] == (False, "loss was not logged, needed <= 1")
    assert promote(registry, 1)[1:] == (False, "accuracy is 0.8, the champion's 0.9, needed >= 0.9")
    assert registry.aliases("any-model")["champion"] == 2
    assert registry.version("any-model", 3).tags["gate.promotion"].startswith("refused: accuracy is 0.95")


@pytest.mark.parametrize("sides", [{}, {"min": 0.0, "max": 1.0}])
def test_a_criterion_has_one_side(sides):
    with pytest.raises(ValueError, match="one of them"):
        Criterion(**sides)


def test_a_gate_without_criteria_is_none():
    with pytest.raises(ComponentError, match="everything would be promoted"):
        RegistryPromotion(registered_model="m", tracking_uri="u", criteria={}).build_defs(None)


def test_three_aliases_are_three():
    same = RegistryPromotion(
        registered_model="m", tracking_uri="u", criteria={"a": Criterion(min=0)}, previous="champion"
    )
    with pytest.raises(ComponentError, match="take three different aliases"):
        same.build_defs(None)
