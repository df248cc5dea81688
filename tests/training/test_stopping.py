"""Asked to end in the middle, a training writes a checkpoint there, says so, and goes on later as if nothing had been."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.training.synthetic import finish, losses, make_job, start, write_snapshot
from training.run.stopping import stop_file
from training.run.supervise import STOPPED

pytestmark = pytest.mark.end_to_end
RARELY = "engine.checkpoint_every=1000"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopping")
    write_snapshot(folder)
    finish(make_job(folder, "parent", "stage", "stage_1", 3))
    return folder


def stop_after_the_first_step(job, ranks, number, warm) -> str:
    """Send the signal to what was started, and to nothing else; returns the output."""
    process = start(job, ranks, warm)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(f"{job.name} 1/"):
            process.send_signal(number)
    assert process.wait(timeout=300) == STOPPED, "".join(lines)[-4000:]
    return "".join(lines)


@pytest.mark.parametrize(
    ("kind", "section", "steps", "ranks", "number", "warm"),
    [
        ("stage", "stage_2", 24, 1, signal.SIGTERM, False),
        ("stage", "stage_2", 24, 2, signal.SIGINT, False),
        ("adversarial", "adversarial_videos", 16, 1, signal.SIGTERM, True),
    ],
    ids=["one rank by DeepSpeed's launcher", "two ranks under ZeRO 2 by DeepSpeed's launcher", "adversarial, warm"],
)
def test_a_stopped_run_leaves_a_checkpoint_of_that_step_and_goes_on_to_the_same_curve(
    root, kind, section, steps, ranks, number, warm
):
    parents = {"parent": str(root / "parent")} | (
        {"diffusion_parent": str(root / "parent")} if kind == "adversarial" else {}
    )
    overrides = [RARELY] + (["engine.zero_stage=2", "stage_2.optimizer={name: adamw, lr: 0.001}"] if ranks > 1 else [])
    whole, broken = (
        make_job(root, f"{section}-{ranks}-{name}", kind, section, steps, overrides, **parents)
        for name in ("whole", "broken")
    )
    finish(whole, ranks)
    output = stop_after_the_first_step(broken, ranks, number, warm)
    step = json.loads((Path(broken.work) / "checkpoints" / "latest.json").read_text())["step"]
    assert 0 < step < steps and f"stopped on request after step {step} of " in output
    assert not Path(broken.output).exists() and not stop_file(Path(broken.work)).exists()
    finish(broken, ranks)
    pd.testing.assert_frame_equal(losses(whole), losses(broken), check_exact=True)


def test_a_second_signal_ends_what_does_not_stop_and_a_request_of_before_counts_no_more(tmp_path):
    stop = tmp_path / "stop"
    stop.touch()
    deaf = f"import pathlib, time; print(pathlib.Path({str(stop)!r}).exists(), flush=True); time.sleep(600)"
    command = [sys.executable, "-m", "training.run.supervise", str(stop), sys.executable, "-c", deaf]
    # Whoever starts it may ignore the signal itself, as some servers do; a child would inherit that.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
        preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    )
    assert process.stdout.readline() == "False\n"
    process.send_signal(signal.SIGTERM)
    assert "once more ends it at once" in process.stdout.readline() and stop.exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) == 128 + signal.SIGTERM
    process.stdout.close()
