"""DeepSpeed's engines do what plain torch does on the same global batch, on two ranks, under every ZeRO stage."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forked import ForkedPopen
from tests.training.synthetic import write_snapshot
from training.run.launch import _free_port, launch_environment

pytestmark = pytest.mark.end_to_end

CASES = [f"adamw-{zero}-{accumulation}" for zero in (0, 1, 2, 3) for accumulation in (1, 2)] + [
    f"muon-{zero}-1" for zero in (0, 1, 2, 3)
]
CASES += ["adamw-1-1-shared", "adamw-2-2-shared"]  # two ranks share one sample's tokens
CASES += ["adamw-2-1-offload", "adamw-3-1-all_offloaded", "adamw-0-1-bf16", "adamw-2-1-bf16", "adamw-3-1-bf16"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Every case in one pair of processes: starting them costs more than the steps."""
    folder = tmp_path_factory.mktemp("parity")
    write_snapshot(folder)
    shared = launch_environment() | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "OMP_NUM_THREADS": "1",
    }
    report = folder / "report.json"
    command = [sys.executable, "-m", "tests.training.parity", folder, report, ",".join(CASES)]
    logs = [folder / f"rank-{rank}.log" for rank in range(2)]
    ranks = [
        ForkedPopen(
            command,
            cwd=ROOT,
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )
        for rank, log in enumerate(logs)
    ]
    codes = [rank.wait(timeout=600) for rank in ranks]
    assert codes == [0, 0], "\n".join(log.read_text()[-4000:] for log in logs)
    return {row["case"]: row for row in json.loads(report.read_text())}


@pytest.mark.parametrize("case", CASES)
def test_losses_and_averaged_weights_agree_with_plain_torch(rows, case):
    row = rows[case]
    if case.endswith("bf16"):  # three digits; plain torch is in float32
        assert row["losses"] == pytest.approx(row["expected"], rel=2e-2)
        return
    assert row["losses"] == pytest.approx(row["expected"], rel=2e-5 if case.startswith("adamw") else 1e-4)
    # Muon makes the rounding in a matrix without a gradient (behind a projection that starts at zero) as large as any gradient.
    assert row["distance"] < (5e-2 if case.startswith("adamw") else 0.2)


@pytest.mark.parametrize("case", [c for c in CASES if c.endswith(("-1", "-bf16"))])
def test_a_nan_on_one_rank_skips_the_step_on_both(rows, case):
    seen = rows[case]["poisoned"]
    assert seen["norm"] in ("nan", "inf")
    assert seen == {"norm": seen["norm"], "unchanged": True, "moves_again": True, "finite": True}
