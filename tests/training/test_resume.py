"""kill -9 in the middle, start again: the same losses and the same weights as a run that was never interrupted."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests import keys_read
from tests.training.synthetic import finish, kill_at, losses, make_job, start, weights, with_parent

pytestmark = pytest.mark.end_to_end
BY_TIME = "adversarial_videos"
STEPS = 20  # the kill comes at the fourth: sixteen more give it a second or two


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return with_parent(tmp_path_factory.mktemp("training"))


@pytest.mark.parametrize(
    ("kind", "section", "warm"),
    [
        (
            "stage",
            "stage_2",
            False,
        ),  # by DeepSpeed's launcher: what a warm process trains is equal to that, to the last bit
        ("consistency", "consistency", True),
        ("adversarial", "adversarial_images", True),
        ("adversarial", "adversarial_videos", True),
        ("streaming", "streaming", True),
        ("decoder", "slim_decoder", True),
    ],
)
def test_a_killed_run_continues_to_the_same_curve_and_weights(root, kind, section, warm, monkeypatch):
    parents = {"parent": str(root / "parent")} | (
        {"diffusion_parent": str(root / "parent")} if kind in ("adversarial", "streaming") else {}
    )
    # In minutes where a step takes long: published adversarial phases end before their first checkpoint by steps.
    timed = ["engine.checkpoint_every=1000", "engine.checkpoint_minutes=0.0001"] if section == BY_TIME else []
    whole = make_job(root, f"{section}-whole", kind, section, STEPS, timed, **parents)
    broken = make_job(root, f"{section}-broken", kind, section, STEPS, timed, **parents)
    monkeypatch.setenv(keys_read.VARIABLE, str(root / f"{section}-keys"))
    finish(whole, warm=warm, anew=not warm)
    if section == "slim_decoder":  # the flow that trains a published profile whole leaves it out
        published = yaml.safe_load((Path(__file__).parents[2] / "profiles" / "wan2.1-1.3b.yaml").read_text())[section]
        assert not keys_read.unread({section: published}, root / f"{section}-keys")
    kill_at(broken, 4)
    assert not Path(broken.output).exists(), "the run ended before it could be killed"
    finish(broken)
    pd.testing.assert_frame_equal(losses(whole), losses(broken), check_exact=True)
    first, second = weights(whole), weights(broken)
    assert all(first[name].equal(second[name]) for name in first)


def test_a_resume_with_another_configuration_is_refused_by_name(root):
    job = make_job(root, "changed", "stage", "stage_2", 60, parent=str(root / "parent"))
    kill_at(job, 2)
    changed = make_job(
        root, "changed", "stage", "stage_2", 60, ["stage_2.optimizer.lr=0.5"], parent=str(root / "parent")
    )
    process = start(changed)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "error: " in output and "ResumeError" not in output and "delete" in output


def test_a_damaged_checkpoint_is_named(root):
    job = make_job(root, "damaged", "stage", "stage_2", 60, parent=str(root / "parent"))
    kill_at(job, 2)
    checkpoints = Path(job.work) / "checkpoints"
    record = json.loads((checkpoints / "latest.json").read_text())
    name = next(n for n in record["files"] if n.endswith("safetensors"))
    with (checkpoints / name).open("r+b") as file:
        file.seek(-4, 2)
        file.write(b"\xff\xff\xff\xff")
    process = start(job)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and name in output and "changed since" in output


def test_a_missing_parent_is_one_clear_error(root):
    job = make_job(root, "orphan", "stage", "stage_2", 2, parent=str(root / "nowhere"))
    process = start(job)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "nowhere" in output and not Path(job.output).exists()
