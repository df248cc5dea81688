"""Two DeepSpeed engines against plain torch on the same global batch: the real generator, discriminator and updates.

Two gloo ranks, ZeRO 0 to 3, accumulation 1 and 2, both objectives, the discriminator's samples together and one by one, and ranks that share tokens; the images phase leaves the audio and pose layers without
a gradient. One launch for all cases. The cases with an unfrozen critic are wrong on purpose: the test can fail.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked import ForkedPopen
from training.run.launch import _free_port

pytestmark = pytest.mark.end_to_end
WORKER = Path(__file__).with_name("parity_worker.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    output = tmp_path_factory.mktemp("parity") / "results.json"
    shared = dict(os.environ) | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
        "TORCH_COMPILE_DISABLE": "1",
        "PYTHONPATH": os.pathsep.join([str(WORKER.parents[2]), os.environ.get("PYTHONPATH", "")]),
    }
    logs = [output.with_name(f"rank-{rank}.log") for rank in range(2)]
    ranks = [
        ForkedPopen(
            [sys.executable, str(WORKER), str(output)],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )
        for rank, log in enumerate(logs)
    ]
    for rank in ranks:
        rank.wait(timeout=800)
    assert output.is_file(), "\n".join(log.read_text()[-3000:] for log in logs)
    found = json.loads(output.read_text())
    errors = [case for case in found if "error" in case]
    assert not errors, errors
    return found


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_weights_and_gradient_norms_are_those_of_plain_torch(results, zero, accumulation):
    cases = [c for c in results if c["zero"] == zero and c["accumulation"] == accumulation and c["freeze"]]
    assert cases
    for case in cases:
        for name in ("generator", "discriminator"):
            assert case[f"{name}_moved"] > 1e-3, case
            assert case[f"{name}_difference"] < 1e-3 * case[f"{name}_moved"], case
            ours, theirs = case[f"{name}_norms"]
            assert ours == pytest.approx(theirs, rel=1e-3), case
        assert case["cosine"][0] == pytest.approx(case["cosine"][1], abs=2e-3), case


@pytest.mark.parametrize("zero", [0, 1])
def test_an_unfrozen_critic_is_seen_by_this_test(results, zero):
    (case,) = (c for c in results if c["zero"] == zero and not c["freeze"])
    assert case["discriminator_difference"] > 0.05 * case["discriminator_moved"], case


def test_a_network_that_only_answers_is_cut_over_the_ranks_and_answers_alike(results):
    (answers,) = (c["answers"] for c in results if c["answers"])
    assert answers["distance"] < 1e-5 and answers["held"] < 0.6 * answers["of"]
