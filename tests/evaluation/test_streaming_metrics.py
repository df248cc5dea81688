"""Metrics fed clip by clip: agreement with references, merging, intervals, known answers, bad input."""

import pickle

import cv2
import numpy as np
import pytest

from evaluation.metrics import (
    AverageKeypointDistance,
    ColourDrift,
    CosineSimilarity,
    DlibFaceDistance,
    DlibFaceDrift,
    Flicker,
    FrechetInceptionDistance,
    FrechetVideoDistance,
    HandKeypointConfidence,
    HandKeypointVariance,
    HandKeypointVariancePerBodyLength,
    IdentityDrift,
    KernelInceptionDistance,
    MetricError,
    MotionMagnitude,
    Network,
    Sync,
    SyncConfidence,
    SyncDistance,
    SyncOffset,
    frechet_distance_of_features,
    frechet_distance_of_samples,
)
from evaluation.metrics.registry import METRICS
from tests.evaluation.metric_agreement import KEPT, agreements, as_markdown

INCEPTION = Network("inception-v3-fid", "a" * 64, "p")
KEYPOINTS = Network("keypoints", "1", "p")
ARCFACE = Network("arcface", "b" * 64, "p")
DLIB = Network("dlib-face-recognition-resnet-v1", "c" * 64, "p")
SYNCNET = Network("syncnet-v2", "c" * 64, "p")


AGREEMENTS = agreements()


@pytest.mark.parametrize("name", sorted(AGREEMENTS))
def test_every_metric_agrees_with_an_independent_reference(name):
    assert AGREEMENTS[name].error < 1e-3


def without_errors(page: str) -> list[str]:
    """Errors at the edge of rounding differ from machine to machine."""
    return [line.rsplit("|", 2)[0] for line in page.splitlines()]


def test_the_kept_table_of_agreement_is_that_of_today_and_leaves_no_judging_metric_out():
    rows = without_errors(KEPT.read_text())
    assert rows == without_errors(as_markdown(AGREEMENTS)), "run `python -m tests.evaluation.metric_agreement`"
    judged_elsewhere = {"sync_c", "sync_d", "sync_offset", "iqa", "ase"}
    assert set(AGREEMENTS) == {name for name, kind in METRICS.items() if kind.damage} - judged_elsewhere


def fed(kind, clips, network=INCEPTION, seed=0):
    metric = kind(network)
    rng = np.random.default_rng(seed)
    for clip in range(8):
        real, generated = rng.normal(size=(5, 4)), rng.normal(0.4, 1.2, (5, 4))
        if clip in clips:
            metric.update(f"c{clip}", real, generated)
    return metric


@pytest.mark.parametrize("kind", [FrechetInceptionDistance, KernelInceptionDistance])
def test_shards_merged_in_any_order_and_sent_between_processes_are_one(kind):
    whole = fed(kind, range(8)).compute(20, seed=3)
    first, second = fed(kind, [6, 1, 2]), fed(kind, [0, 3, 4, 5, 7])
    first.compute()  # what it has cached must not outlive the merge
    first.merge(pickle.loads(pickle.dumps(second)))
    assert first.compute(20, seed=3) == whole
    second = fed(kind, [7, 5, 0, 3, 4])
    second.merge(fed(kind, [1, 2, 6]))
    assert second.compute(20, seed=3) == whole and whole.clips == 8 and whole.network == INCEPTION


def test_shards_that_do_not_belong_together_are_refused():
    metric = fed(FrechetInceptionDistance, [0, 1])
    with pytest.raises(MetricError, match="c1 was scored twice"):
        metric.merge(fed(FrechetInceptionDistance, [1]))
    other = Network("inception-v3-fid", "d" * 64, "p")
    with pytest.raises(MetricError, match="same metric, settings and weights"):
        metric.merge(fed(FrechetInceptionDistance, [3], other))
    with pytest.raises(MetricError, match="same metric"):
        metric.merge(fed(KernelInceptionDistance, [3]))
    with pytest.raises(MetricError, match="settings"):
        ColourDrift(4).merge(ColourDrift(3))


def test_a_metric_refuses_another_network_than_the_one_it_is_named_for():
    for kind, network in (
        (FrechetVideoDistance, INCEPTION),
        (FrechetInceptionDistance, ARCFACE),
        (SyncConfidence, INCEPTION),
        (DlibFaceDistance, ARCFACE),
    ):
        with pytest.raises(MetricError, match="is defined on"):
            kind(network)
    with pytest.raises(MetricError, match="no network"):
        CosineSimilarity(None)


def test_bad_features_are_named():
    metric = FrechetInceptionDistance(INCEPTION)
    with pytest.raises(MetricError, match="no clip was scored"):
        metric.compute()
    with pytest.raises(MetricError, match=r"clip a .* 2 values that are not finite"):
        metric.update("a", np.ones((3, 2)), np.array([[1.0, np.nan], [np.inf, 1.0]]))
    metric.update("a", np.ones((3, 2)), np.ones((3, 2)))
    with pytest.raises(MetricError, match=r"real features of clip b are \(3, 4\), not \(n, 2\)"):
        metric.update("b", np.ones((3, 4)), np.ones((3, 4)))


def test_fewer_samples_than_features_are_said_and_enough_are_not():
    metric = FrechetInceptionDistance(INCEPTION)
    metric.update("a", np.random.default_rng(0).normal(size=(4, 8)), np.random.default_rng(1).normal(size=(9, 8)))
    assert "4 samples for 8 features" in metric.compute().warning
    metric.update("b", np.random.default_rng(2).normal(size=(9, 8)), np.random.default_rng(3).normal(size=(9, 8)))
    assert metric.compute().warning == ""


def test_the_distance_without_covariances_is_the_one_with_them():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(50, 12)) @ rng.normal(size=(12, 12)), rng.normal(1, 2, (70, 12))
    assert frechet_distance_of_features(first, second) == pytest.approx(frechet_distance_of_samples(first, second))
    assert frechet_distance_of_features(first, first[::-1]) == pytest.approx(0.0, abs=1e-9)
    # Two points each, in 100 dimensions: by hand. Means apart by 3, spreads along different axes.
    a, b = np.zeros((2, 100)), np.zeros((2, 100))
    a[:, 0], b[:, 1], b[:, 2] = (1, -1), (2, -2), 3
    assert frechet_distance_of_features(a, b) == pytest.approx(9 + 2 + 8)
    # A resample: rows that are there several times are told once, with how often.
    often = rng.integers(1, 4, 50), rng.integers(1, 3, 70)
    repeated = np.repeat(first, often[0], axis=0), np.repeat(second, often[1], axis=0)
    assert frechet_distance_of_features(first, second, often) == pytest.approx(frechet_distance_of_samples(*repeated))


def test_an_interval_of_a_frechet_distance_holds_it_although_repeats_enlarge_it():
    score = fed(FrechetInceptionDistance, range(8)).compute(100, seed=1)
    assert score.ci_low < score.value < score.ci_high
    assert np.isnan(fed(FrechetInceptionDistance, range(8)).compute().ci_low)


def test_a_kernel_distance_of_chosen_clips_is_that_of_these_clips_alone():
    whole, part = fed(KernelInceptionDistance, range(8)), fed(KernelInceptionDistance, [0, 2, 5])
    assert whole(np.array([0, 2, 5])) == pytest.approx(part.compute().value)
    same = KernelInceptionDistance(INCEPTION)
    features = np.random.default_rng(0).normal(size=(400, 4))
    same.update("a", features[:200], features[200:])
    assert abs(same.compute().value) < 0.05 < fed(KernelInceptionDistance, range(8)).compute().value


def hands(confidence: float, places: np.ndarray) -> np.ndarray:
    """`(T, 133, 3)` with all hand points at `(T, 2)` places, shoulders 20 px apart."""
    points = np.zeros((len(places), 133, 3))
    points[:, 91:133, :2], points[:, 91:133, 2] = places[:, None], confidence
    points[:, 5:7, 2] = 0.9
    points[:, 6, 0] = 20
    return points


def test_hand_metrics_of_hands_that_swing_by_a_known_amount():
    swing = hands(0.8, np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 0.0], [6.0, 0.0]]))
    confidence, variance = HandKeypointConfidence(KEYPOINTS), HandKeypointVariance(KEYPOINTS)
    relative = HandKeypointVariancePerBodyLength(KEYPOINTS)
    for metric in (confidence, variance, relative):
        metric.update("a", swing)
    assert confidence.compute().value == pytest.approx(0.8)
    assert variance.compute().value == pytest.approx(9.0) and variance.compute().unit == "px^2"
    score = relative.compute()
    assert score.value == pytest.approx(9.0 / 400) and score.metric == "hkv_per_body_length"
    enlarged = HandKeypointVariancePerBodyLength(KEYPOINTS)
    enlarged.update("a", swing * [3, 3, 1])
    assert enlarged.compute().value == pytest.approx(score.value), "the size of the picture does not matter"


def test_hands_that_are_not_seen_lower_the_coverage_and_are_said():
    variance = HandKeypointVariance(KEYPOINTS)
    variance.update("seen", hands(0.8, np.array([[0.0, 0.0], [2.0, 0.0]])))
    variance.update("unseen", hands(0.2, np.array([[0.0, 0.0], [9.0, 0.0]])))
    score = variance.compute()
    assert score.value == pytest.approx(1.0) and score.coverage == 0.5 and "not defined on 1 of 2" in score.warning


def test_keypoints_of_other_lengths_or_without_meaning_are_named():
    metric, points = AverageKeypointDistance(KEYPOINTS), hands(0.8, np.zeros((3, 2)))
    with pytest.raises(MetricError, match="clip a has 2 generated frames for 3 real ones"):
        metric.update("a", points, points[:2])
    with pytest.raises(MetricError, match=r"clip a are \(3, 17, 3\)"):
        metric.update("a", points[:, :17], points)
    with pytest.raises(MetricError, match="not finite"):
        metric.update("a", points, points * np.nan)
    metric.update("a", points, points + [3, 4, 0])
    assert metric.compute().value == pytest.approx(5.0)


def clip(values) -> np.ndarray:
    return np.repeat(np.asarray(values, np.uint8)[:, None, None, None], 8, axis=1).repeat(8, axis=2).repeat(3, axis=3)


def one(metric, *inputs) -> float:
    metric.update("a", *inputs)
    return metric.compute().value


def test_flicker_is_none_for_a_steady_change_and_full_for_a_blinking_picture():
    assert one(Flicker(), clip(range(0, 160, 10))) == pytest.approx(0.0, abs=1e-6)
    assert one(Flicker(), clip([0, 255] * 4)) == pytest.approx(1.0)


def test_colour_drift_is_the_change_from_first_to_last_segment():
    assert one(ColourDrift(), clip([100, 100, 180, 20, 90, 7, 151, 151])) == pytest.approx(51 / 255, abs=1e-6)
    half = clip([100] * 8)
    half[6:, :4], half[6:, 4:] = 151, 49  # darker below, lighter above: no drift of the mean, but of the picture
    assert one(ColourDrift(), half) == pytest.approx(51 / 255, abs=1e-6)


@pytest.mark.parametrize("side", [128, 512])
def test_motion_is_the_same_share_of_a_small_and_of_a_large_picture(side):
    """Soft noise panned by a hundred-and-twenty-eighth of the height a frame; the large one is looked at in 256 pixels."""
    step = side // 128
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(side, side + 8 * step)), (0, 0), side / 64)
    wall = np.clip(128 + 60 * noise / noise.std(), 0, 255).astype(np.uint8)
    frames = np.stack([np.repeat(wall[:, step * t : step * t + side, None], 3, axis=2) for t in range(8)])
    assert one(MotionMagnitude(), frames, 10.0) == pytest.approx(10 / 128, rel=0.02)


def test_a_still_picture_does_not_move_and_too_short_ones_are_named():
    assert one(MotionMagnitude(), clip([90] * 4), 25.0) == pytest.approx(0.0, abs=1e-6)
    for metric, inputs in (
        (Flicker(), (clip([1, 2]),)),
        (ColourDrift(), (clip([1, 2]),)),
        (MotionMagnitude(), (clip([1]), 25.0)),
    ):
        with pytest.raises(MetricError, match="clip a is"):
            metric.update("a", *inputs)


def test_a_face_that_stays_has_similarity_one_and_no_drift_and_a_swap_shows():
    face, other = np.array([0.6, 0.8, 0.0]), np.array([0.0, 0.0, 1.0])
    still = np.tile(face, (8, 1))
    assert one(CosineSimilarity(ARCFACE), face, still) == pytest.approx(1.0)
    assert one(IdentityDrift(ARCFACE), still) == pytest.approx(0.0, abs=1e-12)
    swapped = np.concatenate([still[:4], np.tile(other, (4, 1))])
    assert one(CosineSimilarity(ARCFACE), face, swapped) == pytest.approx(0.5)
    assert one(IdentityDrift(ARCFACE), swapped) == pytest.approx(1.0)
    assert one(DlibFaceDistance(DLIB), face, still) == one(DlibFaceDrift(DLIB), still) == 0.0
    assert one(DlibFaceDistance(DLIB), face, swapped) == pytest.approx(2**0.5 / 2)
    assert one(DlibFaceDrift(DLIB), swapped) == pytest.approx(2**0.5)
    hidden = np.full((8, 3), np.nan)
    for metric in (CosineSimilarity(ARCFACE), DlibFaceDistance(DLIB)):
        metric.update("a", face, hidden)
        assert metric.compute().coverage == 0.0 and np.isnan(metric.compute().value)


def test_lip_sync_of_clips_that_cannot_be_judged_is_not_lost_in_silence():
    metrics = SyncConfidence(SYNCNET), SyncDistance(SYNCNET), SyncOffset(SYNCNET)
    for metric in metrics:
        metric.update("a", Sync(6.0, 8.0, -3.0))
        metric.update("b", Sync(4.0, 10.0, 1.0))
        metric.update("short", None)
    assert [m.compute().value for m in metrics] == [5.0, 9.0, 2.0]
    assert all(m.compute().coverage == pytest.approx(2 / 3) and "1 of 3" in m.compute().warning for m in metrics)
