"""Metrics with known answers."""

import numpy as np
import pytest

from evaluation.metrics import (
    ColourError,
    DiscMass,
    HighFrequencyRatio,
    JointDiversity,
    JointErrorMean,
    JointErrorMedian,
    MissingHands,
    MissingJoints,
    MouthCorrelation,
    PeakSignalToNoise,
    PixelDiversity,
    estimate,
)
from evaluation.metrics.puppet_truth import Measured, PuppetTruth
from puppets import measure, render

NAN = float("nan")


def all_clips(metric) -> float:
    return metric(np.arange(len(metric)))


def test_mouth_correlation_is_blind_to_scale_and_offset_and_sees_the_sign():
    asked = np.array([[0.0, 0.5, 1.0], [0.2, 0.4, 0.1]])
    assert all_clips(MouthCorrelation(3 * asked + 7, asked)) == pytest.approx(1.0)
    assert all_clips(MouthCorrelation(-asked, asked)) == pytest.approx(-1.0)
    assert np.isnan(all_clips(MouthCorrelation(np.ones_like(asked), asked)))


def test_mouth_correlation_pools_the_frames_of_all_clips():
    measured, asked = np.random.default_rng(0).random((2, 5, 17))
    expected = np.corrcoef(measured.ravel(), asked.ravel())[0, 1]
    assert all_clips(MouthCorrelation(measured, asked)) == pytest.approx(expected)
    chosen = np.array([1, 1, 3])
    expected = np.corrcoef(measured[chosen].ravel(), asked[chosen].ravel())[0, 1]
    assert MouthCorrelation(measured, asked)(chosen) == pytest.approx(expected)


def test_joint_errors_count_only_joints_that_are_there():
    truth = np.zeros((1, 1, 4, 2))
    measured = np.array([[[[3.0, 4.0], [0.0, 1.0], [0.0, 2.0], [NAN, NAN]]]])
    assert all_clips(JointErrorMedian(measured, truth)) == pytest.approx(2.0)
    assert all_clips(JointErrorMean(measured, truth)) == pytest.approx(8.0 / 3.0)
    assert np.isnan(all_clips(JointErrorMedian(np.full_like(truth, NAN), truth)))


def test_missing_joints_is_a_share_of_those_drawn():
    truth = np.zeros((1, 2, 4, 2))
    truth[0, 1, 2:] = NAN  # six drawn
    missing = np.zeros((1, 2, 4), bool)
    missing[0, 0, :3] = True
    missing[0, 1, 3] = True  # not drawn, so rightly absent
    assert all_clips(MissingJoints(missing, truth)) == pytest.approx(3 / 6)


def test_hands_are_the_wrists_alone():
    clip = render(7, frames=5)
    truth = PuppetTruth(clip.opening[None], clip.joints[None], clip.colours[None])
    hidden = clip.frames.copy()
    for left, top in np.round(clip.joints[:, 1] - 4).astype(int):  # the left wrist's disc, in every frame
        hidden[:, max(0, top) : top + 9, max(0, left) : left + 9] = 128
    found = measure(hidden)
    assert found.missing[:, 1].all() and not found.missing[:, 3].any()
    measured = Measured.stacked([found])
    assert all_clips(MissingHands.of_puppets(measured, truth)) == 0.5
    assert all_clips(MissingJoints.of_puppets(measured, truth)) == found.missing.mean() < 0.5


def test_disc_mass_is_the_mean():
    assert all_clips(DiscMass(np.array([[[1.0, 0.5]], [[0.0, 0.5]]]))) == pytest.approx(0.5)


def test_colour_error_is_the_mean_distance_to_the_reference():
    reference = np.random.default_rng(0).random((3, 4, 3))
    measured = np.repeat(reference[:, None], 5, axis=1)
    assert all_clips(ColourError(measured, reference)) == 0.0
    measured[:, :, 1] += 0.2  # one of four parts
    assert all_clips(ColourError(measured, reference)) == pytest.approx(0.05)


def test_diversity_is_zero_for_one_seed_twice_and_the_distance_otherwise():
    frames = np.full((2, 3, 8, 8, 3), 100, np.uint8)
    assert all_clips(PixelDiversity.of_videos(frames, frames)) == 0.0
    assert all_clips(PixelDiversity.of_videos(frames, frames + 51)) == pytest.approx(0.2)
    joints = np.zeros((2, 3, 4, 2))
    other = joints + np.array([3.0, 4.0])
    other[0, 0, 0] = NAN
    assert all_clips(JointDiversity(joints, other)) == pytest.approx(5.0)


def test_psnr_of_a_known_error():
    truth = np.zeros((2, 1, 8, 8, 3), np.uint8)
    assert all_clips(PeakSignalToNoise.of_videos(truth + 10, truth)) == pytest.approx(20 * np.log10(255 / 10))
    assert all_clips(PeakSignalToNoise.of_videos(truth, truth)) == float("inf")


def test_high_frequency_ratio_orders_blur_truth_and_noise():
    import cv2

    truth = np.stack([render(seed, "clean", 5).frames for seed in (1, 2)])
    blurred = np.stack([[cv2.GaussianBlur(f, (0, 0), 1.0) for f in clip] for clip in truth])
    more = np.stack([[cv2.GaussianBlur(f, (0, 0), 2.0) for f in clip] for clip in truth])
    noise = np.random.default_rng(0).normal(0, 12, truth.shape)
    noisy = np.clip(truth + noise, 0, 255).astype(np.uint8)
    ratio = {
        name: all_clips(HighFrequencyRatio.of_videos(x, truth))
        for name, x in {"truth": truth, "blurred": blurred, "more": more, "noisy": noisy}.items()
    }
    assert ratio["truth"] == pytest.approx(1.0)
    assert ratio["more"] < ratio["blurred"] < 0.5 and ratio["noisy"] > 1.2


def test_high_frequency_ratio_ignores_brightness():
    truth = np.clip(render(1, "clean", 5).frames[None], 0, 200)
    assert all_clips(HighFrequencyRatio.of_videos(truth + 40, truth)) == pytest.approx(1.0, abs=1e-3)


class ClipMean:
    """A metric whose sampling distribution is known."""

    name, unit = "mean", "1"

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __call__(self, clips):
        return float(self.values[clips].mean())


def test_bootstrap_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)
    found = estimate(ClipMean(values), resamples=2000, seed=3)
    error = values.std() / np.sqrt(400)
    assert found.value == pytest.approx(values.mean())
    assert found.ci_low == pytest.approx(values.mean() - 1.96 * error, abs=0.25 * error)
    assert found.ci_high == pytest.approx(values.mean() + 1.96 * error, abs=0.25 * error)


def test_bootstrap_is_repeatable_and_resamples_clips_not_frames():
    values = np.random.default_rng(1).normal(size=20)
    assert estimate(ClipMean(values), 100, 7) == estimate(ClipMean(values), 100, 7)
    # Twelve equal frames per clip are no more evidence than one.
    asked = np.random.default_rng(2).random((15, 1))
    measured = asked + np.random.default_rng(3).normal(0, 0.2, (15, 1))
    one = estimate(MouthCorrelation(measured, asked), 200)
    twelve = estimate(MouthCorrelation(measured.repeat(12, 1), asked.repeat(12, 1)), 200)
    assert twelve.ci_low == pytest.approx(one.ci_low) and twelve.ci_high == pytest.approx(one.ci_high)


def test_bootstrap_of_an_undefined_metric_is_nan_all_through():
    found = estimate(ClipMean(np.full(4, NAN)), 10)
    assert np.isnan([found.value, found.ci_low, found.ci_high]).all()
