"""Non-finite steps are counted and end a run; unusual gradients are noted with their clips."""

import json
import math

import pytest
import torch

from profiles.schema import EngineConfig, OptimizerConfig
from training.engine.deepspeed_engine import build_engine
from training.engine.step_guard import EngineStep, NonFiniteLoss, StepGuard


class Notes:
    """Keeps what a Recorder would print and send."""

    def __init__(self, work):
        self.work, self.seen = work, []

    def event(self, step, kind, **details):
        self.seen.append((step, kind, details))


def one(norm, *clips):
    """A step of the only engine."""
    return {"model": EngineStep(norm, clips)}


@pytest.fixture(autouse=True)
def alone(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_non_finite_steps_in_a_row_end_the_run_with_their_clips(tmp_path):
    notes = Notes(tmp_path)
    guard = StepGuard(EngineConfig(nonfinite_limit=3), notes, {})
    assert guard.accepts(0, one(1.0, "a"))
    assert not guard.accepts(1, one(math.nan, "b"))
    assert not guard.accepts(2, one(math.inf, "c"))
    assert guard.accepts(3, one(1.0, "d")), "a good step starts the count again"
    guard.accepts(4, one(math.nan, "e"))
    guard.accepts(5, one(math.nan, "f"))
    with pytest.raises(NonFiniteLoss, match=r"step 6 with clips \['g'\].*checkpoints"):
        guard.accepts(6, one(math.nan, "g"))
    assert guard.skipped == 5 and [step for step, _, _ in notes.seen] == [1, 2, 4, 5, 6]


def test_an_abnormal_norm_is_noted_and_the_state_survives_a_resume(tmp_path):
    notes = Notes(tmp_path)
    guard = StepGuard(EngineConfig(abnormal_gradient=10.0), notes, {})
    for step in range(20):
        assert guard.accepts(step, one(1.0 + 0.01 * step, "a"))
    again = StepGuard(EngineConfig(abnormal_gradient=10.0), notes, guard.state())
    assert again.accepts(20, one(9.0, "b")) and not notes.seen
    assert again.accepts(21, one(50.0, "c", "d"))
    ((step, kind, details),) = notes.seen
    assert (step, kind, details["clips"], details["norm"]) == (21, "abnormal gradient norm", ["c", "d"], 50.0)
    assert details["median"] == pytest.approx(1.1, abs=0.02)


def test_an_update_of_two_engines_counts_once_and_is_named_by_the_engine_that_was_not_finite(tmp_path):
    notes = Notes(tmp_path)
    guard = StepGuard(EngineConfig(nonfinite_limit=3), notes, {})

    def pair(discriminator, generator):
        return {"discriminator": EngineStep(discriminator, ("d",)), "generator": EngineStep(generator, ("g",))}

    assert guard.accepts(0, pair(1.0, 5.0))
    assert not guard.accepts(1, pair(1.0, math.nan))
    assert not guard.accepts(2, {"discriminator": EngineStep(math.nan, ("d",))})
    # Each engine was finite in between: together they still make three updates in a row that came to nothing.
    with pytest.raises(NonFiniteLoss, match=r"3 steps in a row .* at step 3 of the generator with clips \['g'\]"):
        guard.accepts(3, pair(1.0, math.inf))
    assert [kind for _, kind, _ in notes.seen] == [
        "non-finite step of the generator skipped",
        "non-finite step of the discriminator skipped",
        "non-finite step of the generator skipped",
    ]
    again = StepGuard(EngineConfig(), notes, json.loads(json.dumps(guard.state())))
    assert (again.skipped, again.in_a_row) == (3, 3)
    assert {name: list(norms) for name, norms in again.norms.items()} == {
        "model": [],
        "discriminator": [1.0],
        "generator": [5.0],
    }


def test_muon_with_zero_and_clipping_is_refused():
    with pytest.raises(ValueError, match="gradient_clipping to 0"):
        build_engine(torch.nn.Linear(2, 2), OptimizerConfig(name="muon"), EngineConfig(zero_stage=2), 4)
