"""A pipeline samples at the shift and with the solver that it was saved with; what the shift is for, on an exact velocity."""

import diffusers
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.errors import InputError
from omnihuman.pipeline import OmniHumanPipeline
from omnihuman.sampling import build_scheduler, sampling_of
from profiles import load_profile
from profiles.judging import SamplingConfig
from training.flow_matching import trajectory_end

OTHER = {name: getattr(diffusers, name) for name in ("FlowMatchHeunDiscreteScheduler", "DPMSolverMultistepScheduler")}
VARIANCE = 1000.0  # of what all positions of a video share, light and layout


def exact_velocity(x: torch.Tensor, time: torch.Tensor, **_) -> tuple[torch.Tensor]:
    """E[noise - data | x] where data are normal with this variance and noise with 1."""
    t = (time / 1000).view(-1, 1, 1, 1, 1)
    return (x * (t - (1 - t) * VARIANCE) / ((1 - t) ** 2 * VARIANCE + t**2),)


def kept(sampling: SamplingConfig, steps: int) -> float:
    """The share of the data's deviation that sampling makes."""
    pipeline = OmniHumanPipeline.__new__(OmniHumanPipeline)
    pipeline.transformer, pipeline.scheduler = exact_velocity, build_scheduler(sampling)
    pipeline.progress_bar = lambda steps: steps
    noise = torch.ones(1, 16, 1, 2, 2)
    made = pipeline.sample(ConditionInputs(text=torch.zeros(1, 1, 1)), 1, 1, 16, 16, steps, noise=noise)
    return float(made.mean()) / VARIANCE**0.5


@pytest.mark.parametrize(("shift", "share"), [(1.0, 0.57), (3.0, 0.83), (5.0, 0.885)])
def test_of_what_positions_share_25_steps_of_euler_keep_more_the_more_the_times_are_shifted(shift, share):
    assert kept(SamplingConfig(shift=shift), 25) == pytest.approx(share, abs=0.005)
    noise = torch.ones(1, 16, 1, 2, 2)
    looked_at = trajectory_end(exact_velocity, noise, ConditionInputs(text=torch.zeros(1, 1, 1)), 25, shift)
    assert float(looked_at.mean()) / VARIANCE**0.5 == pytest.approx(kept(SamplingConfig(shift=shift), 25), rel=1e-4)


def test_wans_solver_keeps_it_in_as_many_steps():
    assert kept(SamplingConfig(solver="unipc", shift=3.0), 25) > 0.95


@pytest.mark.parametrize(
    "sampling", [SamplingConfig(), SamplingConfig(shift=3.0), SamplingConfig(solver="unipc", shift=5.0)]
)
def test_a_saved_scheduler_says_how_it_samples(sampling, tmp_path):
    scheduler = build_scheduler(sampling)
    scheduler.save_pretrained(tmp_path)
    assert sampling_of(type(scheduler).from_pretrained(tmp_path)) == sampling


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        (FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), "use_dynamic_shifting=True"),
        (UniPCMultistepScheduler(), "use_flow_sigmas=False, prediction_type=epsilon"),
        (OTHER["FlowMatchHeunDiscreteScheduler"](shift=3.0), "use_flow_sigmas=None, prediction_type=None"),
        (
            OTHER["DPMSolverMultistepScheduler"](prediction_type="flow_prediction", use_flow_sigmas=True),
            "use_flow_sigmas=True",
        ),
    ],
)
def test_a_scheduler_that_the_shift_does_not_fit_is_refused_with_both_sides(scheduler, said):
    name = type(scheduler).__name__
    with pytest.raises(
        InputError,
        match=rf"the pipeline's {name}\({said}.*no fixed shift of a flow's times, and this model is sampled at",
    ):
        sampling_of(scheduler)


def test_published_profiles_sample_teachers_as_wan_does_and_the_laptops_say_nothing():
    for name in ("wan2.1-1.3b", "wan2.1-14b"):
        assert load_profile(name).evaluation.sampling.shift == 3.0
    for name in ("laptop", "people"):
        assert "sampling" not in load_profile(name).model_dump()["evaluation"], "so what stands stays current"
