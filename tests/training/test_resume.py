"""kill -9 in the middle, start again: the same losses and the same weights as a run that was never interrupted."""

import json
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch
from safetensors.torch import load_file

from tests.training.synthetic import finish, kill_at, losses, make_job, start, write_snapshot

pytestmark = pytest.mark.end_to_end


def weights(job):
    (file,) = Path(job.output).glob("*/diffusion_pytorch_model.safetensors")
    return load_file(file)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    write_snapshot(folder)
    parent = make_job(folder, "parent", "stage", "stage_1", 3)
    finish(parent)
    return folder


@pytest.mark.parametrize(
    ("kind", "section", "steps"),
    [
        ("stage", "stage_2", 120), ("consistency", "consistency", 60), ("adversarial", "adversarial_images", 40),
        ("adversarial", "adversarial_videos", 40), ("decoder", "slim_decoder", 60),
    ],  # fmt: skip
)
def test_a_killed_run_continues_to_the_same_curve_and_weights(root, kind, section, steps):
    parents = {"parent": str(root / "parent")} | ({"diffusion_parent": str(root / "parent")} if kind == "adversarial" else {})
    whole = make_job(root, f"{section}-whole", kind, section, steps, **parents)
    broken = make_job(root, f"{section}-broken", kind, section, steps, **parents)
    finish(whole)
    kill_at(broken, 6)
    assert not Path(broken.output).exists(), "the run ended before it could be killed"
    finish(broken)
    pd.testing.assert_frame_equal(losses(whole), losses(broken), check_exact=True)
    first, second = weights(whole), weights(broken)
    assert all(first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize("zero", [2, 3])
def test_two_ranks_resume_exactly_and_one_rank_goes_on_with_the_same_data(root, zero):
    sharded = [f"engine.zero_stage={zero}", "stage_2.optimizer={name: adamw, lr: 0.001}"]
    parents = {"parent": str(root / "parent")}
    whole, broken, fewer = (make_job(root, f"ranks-{zero}-{n}", "stage", "stage_2", 60, sharded, **parents) for n in ("whole", "broken", "fewer"))
    finish(whole, ranks=2)
    for job, ranks in ((broken, 2), (fewer, 1)):
        kill_at(job, 6, ranks=2)
        assert not Path(job.output).exists(), "the run ended before it could be killed"
        finish(job, ranks=ranks)
    pd.testing.assert_frame_equal(losses(whole), losses(broken), check_exact=True)
    first, second, third = weights(whole), weights(broken), weights(fewer)
    assert all(first[name].equal(second[name]) for name in first)
    # The same samples in the same order on one rank: only the order of additions differs.
    pd.testing.assert_frame_equal(losses(whole), losses(fewer), rtol=1e-3)
    assert all(torch.allclose(first[name], third[name], rtol=1e-2, atol=1e-4) for name in first)


def test_one_killed_rank_of_two_ends_the_other_and_the_same_command_goes_on(root):
    overrides, parents = ["engine.zero_stage=2", "stage_2.optimizer={name: adamw, lr: 0.001}"], {"parent": str(root / "parent")}
    whole, broken = (make_job(root, f"rank-{n}", "stage", "stage_2", 60, overrides, **parents) for n in ("whole", "broken"))
    finish(whole, ranks=2)
    process = start(broken, ranks=2)
    latest = Path(broken.work) / "checkpoints" / "latest.json"
    while not (latest.is_file() and json.loads(latest.read_text())["step"] >= 6):
        assert process.poll() is None, process.communicate()[0][-4000:]
        time.sleep(0.05)
    victim = next(child for child in psutil.Process(process.pid).children(recursive=True) if "--local_rank=1" in child.cmdline())
    victim.kill()
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "exits with return code = -9" in output, output[-4000:]
    assert not Path(broken.output).exists(), "the run ended before a rank could be killed"
    finish(broken, ranks=2)
    pd.testing.assert_frame_equal(losses(whole), losses(broken), check_exact=True)


def test_a_resume_with_another_configuration_is_refused_by_name(root):
    job = make_job(root, "changed", "stage", "stage_2", 200, parent=str(root / "parent"))
    kill_at(job, 2)
    changed = make_job(root, "changed", "stage", "stage_2", 200, ["stage_2.optimizer.lr=0.5"], parent=str(root / "parent"))
    process = start(changed)
    output, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "ResumeError" in output and "delete" in output


def test_a_damaged_checkpoint_is_named(root):
    job = make_job(root, "damaged", "stage", "stage_2", 200, parent=str(root / "parent"))
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
