"""kill -9 of two ranks, or of one of them, and the same command again: as if nothing had happened; on one rank alone, nearly so."""

import json
import re
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import torch

from tests.training.synthetic import finish, kill_at, losses, make_job, start, weights, with_parent

pytestmark = pytest.mark.end_to_end
STEPS = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return with_parent(tmp_path_factory.mktemp("training"))


@pytest.mark.parametrize("zero", [2, 3])
def test_two_ranks_resume_exactly_and_one_rank_goes_on_with_the_same_data(root, zero):
    sharded = [f"engine.zero_stage={zero}", "stage_2.optimizer={name: adamw, lr: 0.001}"]
    parents = {"parent": str(root / "parent")}
    whole, broken, fewer = (
        make_job(root, f"ranks-{zero}-{n}", "stage", "stage_2", STEPS, sharded, **parents)
        for n in ("whole", "broken", "fewer")
    )
    finish(whole, ranks=2)
    for job, ranks in ((broken, 2), (fewer, 1)):
        kill_at(job, 4, ranks=2)
        assert not Path(job.output).exists(), "the run ended before it could be killed"
        finish(job, ranks=ranks)
    pd.testing.assert_frame_equal(losses(whole), losses(broken), check_exact=True)
    first, second, third = weights(whole), weights(broken), weights(fewer)
    assert all(first[name].equal(second[name]) for name in first)
    # The same samples in the same order on one rank: only the order of additions differs.
    pd.testing.assert_frame_equal(losses(whole), losses(fewer), rtol=1e-3)
    assert all(torch.allclose(first[name], third[name], rtol=1e-2, atol=1e-4) for name in first)


def test_one_killed_rank_of_two_ends_the_other_and_the_same_command_goes_on(root):
    overrides, parents = (
        ["engine.zero_stage=2", "stage_2.optimizer={name: adamw, lr: 0.001}"],
        {"parent": str(root / "parent")},
    )
    whole, broken = (
        make_job(root, f"rank-{n}", "stage", "stage_2", STEPS, overrides, **parents) for n in ("whole", "broken")
    )
    finish(whole, ranks=2)
    process = start(broken, ranks=2, warm=False)
    latest = Path(broken.work) / "checkpoints" / "latest.json"
    while not (latest.is_file() and json.loads(latest.read_text())["step"] >= 4):
        assert process.poll() is None, process.communicate()[0][-4000:]
        time.sleep(0.05)
    rank = {"--local_rank=1", str(Path(broken.work) / "job.json")}
    victim = next(found for found in psutil.process_iter(["cmdline"]) if rank <= set(found.info["cmdline"] or ()))
    victim.kill()
    output, _ = process.communicate(timeout=120)
    # The launcher tells of the first that it finds dead: the victim, or the other, whose connection to it was reset.
    assert process.returncode != 0 and re.search(r"exits with return code = (-9|1)\b", output), output[-4000:]
    assert not Path(broken.output).exists(), "the run ended before a rank could be killed"
    finish(broken, ranks=2)
    pd.testing.assert_frame_equal(losses(whole), losses(broken), check_exact=True)
