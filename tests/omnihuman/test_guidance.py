"""Guidance as a diffusers guider: the weight of every branch at every step, and what they add up to."""

import pytest
import torch
from diffusers.guiders.guider_utils import BaseGuidance

from omnihuman.guidance import OmniHumanGuidance, annealed_scale, branch_weights


def test_the_default_is_joint_and_falls_in_a_line_from_the_papers_scale():
    guidance = OmniHumanGuidance()
    assert isinstance(guidance, BaseGuidance)
    found = [guidance.weights_at(step, 4) for step in range(4)]
    assert found == [
        {"pred_cond": pytest.approx(6.5), "pred_uncond": pytest.approx(-5.5)},
        {"pred_cond": pytest.approx(5.5), "pred_uncond": pytest.approx(-4.5)},
        {"pred_cond": pytest.approx(4.5), "pred_uncond": pytest.approx(-3.5)},
        {"pred_cond": pytest.approx(3.5), "pred_uncond": pytest.approx(-2.5)},
    ]


@pytest.mark.parametrize(
    ("annealing", "scales"),
    [("linear", [5, 4, 3, 2, 1]), ("cosine", [5, 3 + 2**0.5, 3, 3 - 2**0.5, 1]), ("constant", [5, 5, 5, 5, 5])],
)
def test_annealing_gives_these_scales(annealing, scales):
    assert [annealed_scale(i, 5, 5.0, 1.0, annealing) for i in range(5)] == pytest.approx(scales)


def test_separate_scales_weigh_three_branches_at_each_step():
    guidance = OmniHumanGuidance(text_scale=4.0, text_scale_end=2.0, audio_scale=7.0, audio_scale_end=3.0)
    assert [guidance.weights_at(step, 3) for step in range(3)] == [
        {"pred_cond": 7.0, "pred_without_audio": -3.0, "pred_uncond": -3.0},
        {"pred_cond": 5.0, "pred_without_audio": -2.0, "pred_uncond": -2.0},
        {"pred_cond": 3.0, "pred_without_audio": -1.0, "pred_uncond": -1.0},
    ]


@pytest.mark.parametrize(
    ("text_scale", "audio_scale", "text", "audio", "weights"),
    [
        (1.0, 1.0, True, True, {"pred_cond": 1.0}),
        (1.0, 3.0, True, True, {"pred_cond": 3.0, "pred_without_audio": -2.0}),
        (3.0, 1.0, True, True, {"pred_cond": 1.0, "pred_without_audio": 2.0, "pred_uncond": -2.0}),
        (3.0, 5.0, True, False, {"pred_cond": 3.0, "pred_uncond": -2.0}),
        (3.0, 5.0, False, True, {"pred_cond": 5.0, "pred_uncond": -4.0}),
        (3.0, 5.0, False, False, {"pred_cond": 1.0}),
    ],
)
def test_a_branch_that_cannot_matter_is_not_run(text_scale, audio_scale, text, audio, weights):
    assert branch_weights(text_scale, audio_scale, text, audio) == weights


def test_the_guided_prediction_is_the_equation():
    guidance = OmniHumanGuidance(text_scale=2.0, text_scale_end=2.0, audio_scale=4.0, audio_scale_end=4.0)
    guidance.set_state(0, 1, torch.tensor(1000.0))
    # Branches told apart by what they are given: text 1, audio 10, and a condition that stays in all.
    text, audio, pose = torch.tensor([1.0]), torch.tensor([10.0]), torch.tensor([100.0])
    blocks = guidance.prepare_inputs(
        {"text": (text, text, torch.zeros(1)), "audio": (audio, torch.zeros(1), torch.zeros(1)), "pose": pose}
    )
    assert len(blocks) == guidance.num_conditions == 3
    for block in blocks:
        block.noise_pred = block.text + block.audio + block.pose
    assert guidance(blocks).pred.item() == pytest.approx(100.0 + 2.0 * 1.0 + 4.0 * 10.0)


def test_outside_its_steps_and_switched_off_one_branch_runs():
    guidance = OmniHumanGuidance(start=0.25, stop=0.75)
    assert [len(guidance.weights_at(step, 4)) for step in range(4)] == [1, 2, 2, 1]
    guidance.disable()
    assert guidance.weights_at(1, 4) == {"pred_cond": 1.0}


def test_a_guider_is_saved_and_read_as_diffusers_does(tmp_path):
    OmniHumanGuidance(text_scale=3.0, annealing="cosine").save_pretrained(tmp_path)
    again = OmniHumanGuidance.from_pretrained(tmp_path)
    assert (again.text_scale, again.audio_scale, again.annealing) == (3.0, 6.5, "cosine")


def test_an_unknown_annealing_is_refused():
    with pytest.raises(ValueError, match="linear, cosine, constant"):
        OmniHumanGuidance(annealing="quadratic")
