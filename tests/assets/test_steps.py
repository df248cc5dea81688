"""When a step is up to date, and that nothing half-made is taken for made."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from assets.core.catalogue import STEPS
from assets.core.dvc_stages import ensure_repository, params_text
from assets.core.steps import AssetError, Execution, Step
from assets.core.versions import configuration, fingerprint, folder_version
from assets.core.workspace import Workspace
from assets.kinds.detectors import keypoint_detector
from assets.make import execute as execute_module
from assets.make.execute import execute, is_current, run_process
from evaluation.scoring.criteria import GateError
from profiles import load_profile
from puppets import PuppetKeypoints
from tests import forked
from training.run.launch import Process

ROOT = Path(__file__).resolve().parents[2]


def make(execution: Execution) -> dict:
    """Write the seed of stage 1 and, for `below`, what `above` holds."""
    folder = execution.workspace.data(execution.name)
    folder.mkdir(parents=True, exist_ok=True)
    above = execution.workspace.data("above") / "value"
    text = above.read_text() if execution.name == "below" and above.is_file() else ""
    (folder / "value").write_text(f"{execution.workspace.profile.stage_1.seed} {text}")
    return {}


def make_and_fail(execution: Execution) -> dict:
    """Leave a product, and fail."""
    make(execution)
    raise AssetError("the disk is full")


def make_nothing(execution: Execution) -> dict:
    """End without a product."""
    return {}


def step(name: str, upstream: tuple[str, ...] = (), sections: tuple[str, ...] = ("stage_1",)) -> Step:
    return Step(
        name,
        "a step of the tests",
        f"{__name__}:make",
        upstream,
        sections,
        "tools",
        frozenset({"python"}),
        "value",
        in_dvc=False,
    )


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> dict[str, Step]:
    made = {"above": step("above", sections=()), "below": step("below", ("above",))}
    monkeypatch.setattr(execute_module, "STEPS", made)
    return made


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path, load_profile("laptop", []))


def with_profile(workspace: Workspace, *overrides: str) -> Workspace:
    return dataclasses.replace(workspace, profile=load_profile("laptop", list(overrides)))


def test_a_step_is_current_until_settings_code_upstream_or_its_own_files_change(workspace: Workspace, steps) -> None:
    below = steps["below"]
    assert not is_current(workspace, below)
    execute(workspace, steps["above"])
    execute(workspace, below)
    assert is_current(workspace, steps["above"]) and is_current(workspace, below)

    assert not is_current(with_profile(workspace, "stage_1.seed=7"), below), "a setting it reads"
    assert is_current(with_profile(workspace, "stage_2.seed=7"), below), "a setting it does not read"
    assert not is_current(workspace, dataclasses.replace(below, version="2")), "its code"

    (workspace.data("below") / "value").write_text("changed by hand")
    assert not is_current(workspace, below), "its own files"
    execute(workspace, below)
    assert is_current(workspace, below)

    (workspace.data("above") / "value").write_text("brought by dvc checkout")
    assert not is_current(workspace, below), "what it reads"


def test_equal_content_upstream_leaves_a_step_current(workspace: Workspace, steps) -> None:
    execute(workspace, steps["above"])
    execute(workspace, steps["below"])
    execute(workspace, steps["above"])
    assert is_current(workspace, steps["below"])


def test_a_threshold_of_no_metric_stops_the_first_asset_not_the_last(workspace: Workspace, steps) -> None:
    with pytest.raises(GateError, match=r"gate\.criteria\.odd"):
        execute(with_profile(workspace, "gate.criteria.odd={metric: mouth_corelation, min: 0.5}"), steps["above"])
    assert not workspace.data("above").exists()


def test_a_failed_or_empty_execution_is_not_recorded(workspace: Workspace, steps) -> None:
    with pytest.raises(AssetError, match="disk is full"):
        execute(workspace, dataclasses.replace(steps["above"], make=f"{__name__}:make_and_fail"))
    assert not is_current(workspace, steps["above"])
    with pytest.raises(AssetError, match="is not there"):
        execute(workspace, dataclasses.replace(steps["below"], make=f"{__name__}:make_nothing"))


def test_folder_version_sees_names_and_bytes_and_no_drafts(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = folder_version(tmp_path)
    (tmp_path / ".tmp-x").write_text("draft")
    assert folder_version(tmp_path) == first
    (tmp_path / "a").rename(tmp_path / "b")
    assert folder_version(tmp_path) != first


def test_adding_a_shard_changes_the_fingerprint_of_what_reads_all_shards(workspace: Workspace) -> None:
    sharded = dataclasses.replace(step("above"), sharded=True)
    known = {"above": sharded, "below": step("below", ("above",))}
    seen = set()
    for shard in ("s-1", "s-2"):
        folder = workspace.data("above", shard)
        folder.mkdir(parents=True)
        (folder / "value").write_text(shard)
        seen.add(fingerprint(workspace, known["below"], None, known))
    assert len(seen) == 2


def test_training_that_ends_without_a_checkpoint_is_an_error(workspace: Workspace) -> None:
    snapshot = workspace.data("training_snapshot")
    snapshot.mkdir(parents=True)
    (snapshot / "snapshot.json").write_text(json.dumps({"digest": "ab" * 32}))
    commands = []
    with pytest.raises(AssetError, match="without writing"):
        execute(workspace, STEPS["stage_1_checkpoint"], launch=lambda process: commands.append(process.command))
    job = json.loads(Path(commands[0][-1]).read_text())
    assert job["section"] == "stage_1" and job["snapshot"] == str(snapshot) and job["parent"] is None
    assert not is_current(workspace, STEPS["stage_1_checkpoint"])


def test_a_failing_process_is_an_error() -> None:
    with pytest.raises(AssetError, match="exit code 3"):
        run_process(Process([sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ)))


def test_detector_is_the_profiles_and_a_missing_path_names_the_remedy(tmp_path: Path) -> None:
    assert isinstance(keypoint_detector(load_profile("laptop", [])), PuppetKeypoints)
    with pytest.raises(AssetError, match=r"nowhere\.onnx.*download"):
        keypoint_detector(load_profile("laptop", [f"encoders.keypoints={tmp_path}/nowhere.onnx"]))


def test_other_weights_under_the_same_path_are_another_setting_of_the_scores_and_of_nothing_else(
    tmp_path: Path,
) -> None:
    captioner, detector = tmp_path / "captioner", tmp_path / "detector"
    for file in (captioner / "config.json", captioner / "model.safetensors", detector / "body.onnx"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("first")
    overrides = [f"curation.scores.caption.captioner={{weights: {captioner}}}", f"encoders.keypoints={detector}"]
    workspace = Workspace(tmp_path, load_profile("laptop", overrides))

    def made_from() -> tuple[str, str, dict]:
        prints = [fingerprint(workspace, STEPS[name], "s-1", STEPS) for name in ("clip_scores", "condition_features")]
        return prints[0], prints[1], yaml.safe_load(params_text(workspace.profile))["score_weights"]

    first = made_from()
    assert set(first[2]) == {"caption", "keypoints"}
    seen = {first[0]}
    for file in (captioner / "model.safetensors", detector / "body.onnx"):
        file.write_text("other")
        scores, features, weights = made_from()
        assert scores not in seen and features == first[1] and weights != first[2]
        seen.add(scores)
    shutil.rmtree(captioner)
    assert made_from()[2]["caption"] == "absent" and made_from()[0] not in seen
    assert "score_weights" not in configuration(load_profile("laptop", []), ("curation.scores",)), (
        "the laptop's scores have none"
    )


def test_params_file_is_the_laptop_profile() -> None:
    expected = params_text(load_profile("laptop", []))
    assert (ROOT / "params.yaml").read_text() == expected, "run `python -m assets --sync`"


def test_repository_is_made_once_and_keeps_outputs_writable(workspace: Workspace) -> None:
    ensure_repository(workspace)
    config = (workspace.root / ".dvc" / "config").read_text()
    assert "no_scm = True" in config and "analytics = False" in config and "reflink, copy" in config
    (workspace.root / "dvc.yaml").write_text("stages: {}\n")
    ensure_repository(workspace)
    assert (workspace.root / "dvc.yaml").read_text() == "stages: {}\n", "a user's own stages stay"


def test_command_line_teaches_and_refuses_unknown_keys(tmp_path: Path) -> None:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"OMNIHUMAN_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)} | variables
        command = [sys.executable, "-W", "ignore", "-m", "assets", *arguments]
        return forked.run(command, env=environment, capture_output=True, text=True)

    help_text = run("--help").stdout
    assert "training_snapshot" in help_text and "--shard" in help_text and "OMNIHUMAN_SET" in help_text
    wrong = run("clip_scores", OMNIHUMAN_SET="stage_1.stepz=4")
    assert wrong.returncode == 2 and "stage_1.stepz" in wrong.stderr and "Traceback" not in wrong.stderr
    empty = run("clip_scores")
    assert empty.returncode == 1 and "drop clips into" in empty.stderr and "Traceback" not in empty.stderr
