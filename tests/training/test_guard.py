"""Non-finite steps are counted and end a run; unusual gradients are noted with their clips."""

import math

import pytest
import torch

from profiles.schema import EngineConfig, OptimizerConfig
from training.engine.deepspeed_engine import NonFiniteLoss, build_engine
from training.engine.step_guard import Guard


class Notes:
    """Keeps what a Recorder would print and send."""

    def __init__(self, work):
        self.work, self.seen = work, []

    def event(self, step, kind, **details):
        self.seen.append((step, kind, details))


@pytest.fixture(autouse=True)
def alone(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_non_finite_steps_in_a_row_end_the_run_with_their_clips(tmp_path):
    notes = Notes(tmp_path)
    guard = Guard(EngineConfig(nonfinite_limit=3), notes, {})
    assert guard.accepts(0, 1.0, ("a",))
    assert not guard.accepts(1, math.nan, ("b",))
    assert not guard.accepts(2, math.inf, ("c",))
    assert guard.accepts(3, 1.0, ("d",)), "a good step starts the count again"
    guard.accepts(4, math.nan, ("e",))
    guard.accepts(5, math.nan, ("f",))
    with pytest.raises(NonFiniteLoss, match=r"step 6 with clips \['g'\].*checkpoints"):
        guard.accepts(6, math.nan, ("g",))
    assert guard.skipped == 5 and [step for step, _, _ in notes.seen] == [1, 2, 4, 5, 6]


def test_an_abnormal_norm_is_noted_and_the_state_survives_a_resume(tmp_path):
    notes = Notes(tmp_path)
    guard = Guard(EngineConfig(abnormal_gradient=10.0), notes, {})
    for step in range(20):
        assert guard.accepts(step, 1.0 + 0.01 * step, ("a",))
    again = Guard(EngineConfig(abnormal_gradient=10.0), notes, guard.state())
    assert again.accepts(20, 9.0, ("b",)) and not notes.seen
    assert again.accepts(21, 50.0, ("c", "d"))
    ((step, kind, details),) = notes.seen
    assert (step, kind, details["clips"], details["norm"]) == (21, "abnormal gradient norm", ["c", "d"], 50.0)
    assert details["median"] == pytest.approx(1.1, abs=0.02)


def test_muon_with_zero_and_clipping_is_refused():
    with pytest.raises(ValueError, match="gradient_clipping to 0"):
        build_engine(torch.nn.Linear(2, 2), OptimizerConfig(name="muon"), EngineConfig(zero_stage=2), 4)
