"""What a metric needs is data: the registry is sorted by it, a clip is looked at only as far as it asks, and nothing is lost in silence."""

import gc
import weakref

import numpy as np
import pytest

from evaluation.baselines.sanity import UNASKED, judged, order_of_damage
from evaluation.metrics import (
    HighFrequencyRatio,
    JointDiversity,
    MetricError,
    MouthCorrelation,
    Network,
    PeakSignalToNoise,
    PixelDiversity,
    Sync,
)
from evaluation.metrics.distances.latent_frechet import LatentFrechetDistance, LatentFrechetDistanceOfArms
from evaluation.metrics.mouth import MouthCorrelationWithGivenAudio
from evaluation.metrics.observation.needs import JUDGES, MATERIAL
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.puppet_truth import Measured, PuppetTruth
from evaluation.metrics.registry import METRICS, streaming_metric
from evaluation.metrics.streaming import Score
from evaluation.panel import Instruments, Panel, measurable
from puppets import measure, measure_colours, render


class Counting:
    """Any judge of frames, that remembers how often it was asked."""

    def __init__(self, architecture, answer):
        self.network, self.answer, self.calls = Network(architecture, "0" * 64, "test"), answer, 0

    def __call__(self, *inputs):
        self.calls += 1
        return self.answer(*inputs)


def points(frames):
    found = np.full((len(frames), 133, 3), 0.9, np.float32)
    found[..., 0] = np.arange(133) + frames.reshape(len(frames), -1).mean(axis=1)[:, None]
    return found


def faces(frames, keypoints):
    return np.stack([frame.reshape(-1, 3).mean(axis=0) for frame in frames]).astype(np.float32) + 1


def instruments(**more):
    every = {
        "inception": Counting("inception-v3-fid", lambda x: x.reshape(len(x), -1)[:, :4].astype(np.float32)),
        "keypoints": Counting("keypoints", points),
        "arcface": Counting("arcface", faces),
        "syncnet": Counting("syncnet-v2", lambda file: Sync(5.0, 8.0, 1.0)),
    }
    return Instruments(**every | more)


def video(seed, frames=8):
    return np.random.default_rng(seed).integers(0, 256, (frames, 16, 16, 3), np.uint8)


def test_every_metric_of_the_registry_is_measured_or_said_why_not_and_what_to_do():
    measured, unmeasured = measurable(Instruments(), {"truth_frames"})
    names = [metric.name for metric in measured] + [one.metric for one in unmeasured]
    assert sorted(names) == sorted(METRICS) and {"flicker", "psnr"} <= {metric.name for metric in measured}
    said = {one.metric: one for one in unmeasured}
    assert said["sync_c"].reason == "needs SyncNet v2's weights" and "syncnet_v2.model" in said["sync_c"].remedy
    assert "make people-and-text" in said["dlib_face_distance"].remedy and all(one.remedy for one in unmeasured)


def test_with_everything_nothing_is_left_unmeasured():
    every = {need: Counting(architecture(need), None) for need in JUDGES}
    measured, unmeasured = measurable(Instruments(**every), MATERIAL)
    assert not unmeasured and {metric.name for metric in measured} == set(METRICS)
    for metric in measured:
        if metric.network is not None:
            assert metric.network is every[METRICS[metric.name].needs[0]].network


def architecture(need):
    return next(
        (
            kind.architecture  # type: ignore[attr-defined]
            for kind in METRICS.values()
            if kind.needs[:1] == (need,) and getattr(kind, "architecture", None)
        ),
        need,
    )


def test_samples_without_sound_have_no_sync_and_it_is_the_samples_that_lack_it():
    said = {one.metric: one.reason for one in measurable(instruments(), {"truth_frames"})[1]}
    assert said["sync_c"] == "the videos have no sound"


def test_a_networks_answer_is_asked_for_once_and_only_when_a_metric_wants_it():
    with_all = instruments()
    panel = Panel(with_all, {"truth_frames", "sounding_file"}, {"hkc", "hkv", "akd", "csim", "identity_drift"})
    made = []
    panel.update(
        Observed(
            "a", 8.0, video(0), with_all, real=lambda: made.append("real") or video(1), file=lambda: made.append("file")
        )
    )
    assert with_all.keypoints.calls == 2 and with_all.arcface.calls == 2, "generated and real; generated and reference"
    assert with_all.inception.calls == with_all.syncnet.calls == 0 and made == ["real"]


def test_nothing_of_a_clip_outlives_it_but_records():
    with_all = instruments()
    panel = Panel(with_all, {"truth_frames"})
    seen = Observed("a", 8.0, video(0), with_all, real=video(1))
    watched = [weakref.ref(seen), weakref.ref(seen.generated), weakref.ref(seen.real), weakref.ref(seen.keypoints)]
    panel.update(seen)
    del seen
    gc.collect()
    assert all(reference() is None for reference in watched)
    assert all(len(metric) == 1 for metric in panel.metrics.values())


def test_a_clip_that_lacks_what_others_have_lowers_the_coverage_or_is_named():
    with_all = instruments()
    panel = Panel(with_all, {"truth_frames", "sounding_file"}, {"sync_c", "flicker"})
    panel.update(Observed("sounding", 8.0, video(0), with_all, file=b"a film"))
    panel.update(Observed("silent", 8.0, video(1), with_all, file=lambda: None))
    assert panel.metrics["sync_c"].compute().coverage == 0.5 and panel.metrics["flicker"].compute().coverage == 1.0
    with pytest.raises(MetricError, match="fid: clip b cannot be scored, the samples have no real clips"):
        Panel(with_all, {"truth_frames"}, {"fid"}).update(Observed("b", 8.0, video(0), with_all))
    with pytest.raises(MetricError, match="clip c: the samples have no sound"):
        Observed("c", 8.0, video(0)).sound  # noqa: B018


def test_identity_is_that_of_the_picture_that_the_method_was_given():
    with_all = instruments()
    scores = {}
    for name, reference in (("given", video(0)[0]), ("not given", None)):
        panel = Panel(with_all, {"truth_frames"}, {"csim"})
        panel.update(
            Observed("a", 8.0, np.repeat(video(0)[:1], 8, axis=0), with_all, real=video(1), reference=reference)
        )
        scores[name] = panel.metrics["csim"].compute().value
    assert scores["given"] == pytest.approx(1.0, abs=1e-7) and scores["not given"] < 1.0


@pytest.fixture(scope="module")
def pairs():
    """Three clips of two seeds, with latents, and the truth of puppets."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(3):
        puppet, other = render(seed, "clean", 17), render(seed + 50, "clean", 17)
        truth = PuppetTruth(puppet.opening, puppet.joints, measure_colours(puppet.frames[-1:])[0])
        latents = rng.normal(seed, 1.0, (2, 4, 3, 8, 8))
        found.append((puppet.frames, other.frames, truth, other.opening, latents))
    return found


def test_metrics_over_arrays_read_the_same_clip_by_clip(pairs):
    made, other, truths, openings, latents = (list(side) for side in zip(*pairs, strict=True))
    has = {"truth_frames", "second_seed", "latents", "puppet_truth", "given_opening"}
    panel = Panel(Instruments(), has)
    for i, (frames, others, truth, opening, (own, real)) in enumerate(pairs):
        panel.update(
            Observed(
                str(i),
                16.0,
                frames,
                real=others,
                second_seed=others,
                latents=own,
                real_latents=real,
                puppet_truth=truth,
                given_opening=opening,
            )
        )
    first, second, chosen = np.stack(made), np.stack(other), np.array([0, 2, 2])
    measured = Measured.stacked([measure(frames) for frames in made])
    joints = np.stack([measure(frames).joints for frames in other])
    for whole in (
        HighFrequencyRatio.of_videos(first, second),
        PeakSignalToNoise.of_videos(first, second),
        PixelDiversity.of_videos(first, second),
        JointDiversity(measured.joints, joints),
        MouthCorrelation.of_puppets(measured, PuppetTruth.stacked(truths)),
        MouthCorrelationWithGivenAudio(measured.opening, np.stack(openings)),
    ):
        assert panel.metrics[whole.name](chosen) == pytest.approx(whole(chosen), rel=1e-6), whole.name
    for kind in (LatentFrechetDistance, LatentFrechetDistanceOfArms):
        expected = kind.between(*(np.stack([clip[side] for clip in latents])[chosen] for side in (0, 1)))
        assert panel.metrics[kind.name](chosen) == pytest.approx(expected, rel=1e-9)


def test_streaming_forms_of_one_name_are_of_that_metric():
    for name in METRICS:
        network = (
            Network(architecture(METRICS[name].needs[0]), "0" * 64, "p")
            if METRICS[name].needs and METRICS[name].needs[0] in JUDGES
            else None
        )
        metric = streaming_metric(name, network)
        assert (metric.name, metric.unit) == (name, METRICS[name].unit)


def score(value, low=float("nan"), high=float("nan"), coverage=1.0):
    return Score("m", "u", value, low, high, 4, coverage, None)


@pytest.mark.parametrize(
    ("metric", "values", "reason"),
    [
        ("dlib_face_distance", (0.2, 0.4, 0.9), ""),
        ("dlib_face_distance", (0.2, float("nan"), 0.9), ""),  # nobody was found in the noise
        ("dlib_face_distance", (0.2, 0.1, 0.9), "more noise reads 0.1, no worse than 0.2 of none"),
        ("dlib_face_distance", (0.2, 0.4, float("nan")), "another sample reads nan, no worse than 0.4 of more noise"),
        ("high_frequency_ratio", (1.0, 0.4, 0.1), ""),
        ("high_frequency_ratio", (1.0, 1.4, 0.8), "more blur reads 0.8, no further from 1 than 1.4 of blur"),
        ("psnr", (20.0,), UNASKED),
    ],
)
def test_a_metric_may_judge_where_damage_leads_away_from_the_best_step_by_step(metric, values, reason):
    verdict = judged(metric, dict(zip(order_of_damage(metric), map(score, values), strict=True)))
    assert (verdict.reason, verdict.usable) == (reason, not reason)


def test_a_floor_inside_the_real_clips_interval_or_a_metric_of_few_clips_judges_nobody():
    for ceiling, reason in (
        (score(1.0, 0.05, 1.9), "the floor 0.1 lies inside the real clips' interval"),
        (score(1.0, coverage=0.4), "defined on 40% of the real clips only"),
    ):
        values = dict(zip(order_of_damage("high_frequency_ratio"), (ceiling, score(0.4), score(0.1)), strict=True))
        assert judged("high_frequency_ratio", values).reason == reason
