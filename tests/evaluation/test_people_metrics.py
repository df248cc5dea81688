"""What geometry reads from faces, and the packaged networks: known answers, and what is said where there is none."""

import numpy as np
import pytest

from evaluation.metrics.errors import MetricError
from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.people.face_reading import FaceReading
from evaluation.metrics.people.head_and_eyes import BlinkRateError, HeadPoseError, blinks
from evaluation.metrics.people.mouth_motion import MouthSoundCorrelation, MouthSoundLag
from evaluation.metrics.people.speech_quality import SpeechQuality
from evaluation.networks import packaged
from evaluation.networks.dnsmos import Dnsmos
from evaluation.networks.efficientnet_lite import EfficientNetFeatures, EfficientNetLite0
from evaluation.networks.packaged import if_installed
from evaluation.panel import Panel
from media.keypoints.head_pose import HEAD, POINTS, camera_matrix, rotation_of
from networks.weights import Network, NetworkError

DETECTOR = Network("keypoints", "0" * 64, "test")
SIDE = 256


def faces(opening, eyes=None, angles=None):
    """`(T, 133, 3)` with a face 100 pixels high that opens its mouth by so many pixels."""
    frames = len(opening)
    points = np.zeros((frames, 133, 3))
    face = points[:, 23:91]
    face[..., 2], face[..., :2] = 0.9, 128.0
    face[:, 17:27, 1], face[:, 8, 1] = 80, 180
    face[:, 62, 1], face[:, 66, 1] = 150, 150 + np.asarray(opening)
    for first in (36, 42):
        face[:, first, 0], face[:, first + 3, 0] = 100, 130
        for top, bottom in ((1, 5), (2, 4)):
            face[:, first + bottom, 1] = face[:, first + top, 1] + (9.0 if eyes is None else np.asarray(eyes) * 30)
    if angles is not None:
        projected = [(HEAD @ rotation_of(*turn).T + [0, 0, 900]) @ camera_matrix(SIDE, SIDE).T for turn in angles]
        face[:, POINTS, :2] = np.array([image[:, :2] / image[:, 2:] for image in projected])
    return points


class Detector:
    """Finds the points that it was told of, by the brightness of the first pixel."""

    network = DETECTOR

    def __init__(self, *points):
        self.points = points

    def __call__(self, frames):
        return self.points[frames[0, 0, 0, 0]][: len(frames)]


def clip(which, frames):
    return np.full((frames, SIDE, SIDE, 3), which, np.uint8)


def test_opening_is_in_heights_of_the_face_and_nan_where_the_mouth_is_hidden():
    points = faces([0.0, 10.0, 5.0])
    points[2, 23 + 62, 2] = 0.1
    reading = FaceReading.of(points, SIDE, SIDE)
    np.testing.assert_allclose(reading.opening[:2], [0.0, 0.1])
    assert np.isnan(reading.opening[2]) and reading.found.all()
    points *= [2, 2, 1]
    np.testing.assert_allclose(FaceReading.of(points, SIDE, SIDE).opening[:2], [0.0, 0.1])
    np.testing.assert_allclose(FaceReading.of(faces([0.0], eyes=[0.25]), SIDE, SIDE).eyes, [0.25])


def test_a_mouth_that_follows_the_given_sound_is_told_from_one_that_follows_another():
    rng = np.random.default_rng(0)
    fps, loud, other = 25.0, rng.random(50), rng.random(50)
    sounds = [
        np.repeat(level, 640).astype(np.float32) * rng.choice([-1, 1], 32_000).astype(np.float32)
        for level in (loud, other)
    ]
    instruments = Instruments(keypoints=Detector(faces(20 * loud), faces(np.roll(20 * loud, 5))))
    scores = {}
    for name, which, sound in (("own", 0, sounds[0]), ("another", 0, sounds[1]), ("late", 1, sounds[0])):
        panel = Panel(instruments, {"sound", "truth_frames"}, {"mouth_sound_r", "mouth_sound_lag", "mouth_opening_r"})
        panel.update(Observed("a", fps, clip(which, 50), instruments, real=clip(0, 50), sound=sound))
        scores[name] = {metric: panel.metrics[metric].compute().value for metric in panel.metrics}
    assert scores["own"]["mouth_sound_r"] > 0.8 > 0.4 > scores["another"]["mouth_sound_r"]
    assert scores["own"]["mouth_sound_lag"] == 0.0 and scores["late"]["mouth_sound_lag"] == 200.0
    assert scores["own"]["mouth_opening_r"] == pytest.approx(1.0) and scores["late"]["mouth_opening_r"] < 0.5


def test_a_mouth_that_stands_still_has_no_correlation_and_lowers_the_coverage():
    still, heard = np.full(30, 0.05), np.random.default_rng(0).random(30)
    for metric, rest in ((MouthSoundCorrelation(DETECTOR), ()), (MouthSoundLag(DETECTOR), (25.0,))):
        metric.update("still", still, heard, *rest)
        metric.update("moving", heard, heard, *rest)
        assert metric.compute().coverage == 0.5


def test_head_pose_error_is_the_angle_of_the_turn():
    straight, turned = (
        faces(np.zeros(3), angles=[(0, 0, 0)] * 3),
        faces(np.zeros(3), angles=[(20, 0, 0), (0, 0, 10), (0, 0, 0)]),
    )
    instruments = Instruments(keypoints=Detector(straight, turned))
    panel = Panel(instruments, {"truth_frames"}, {"head_pose_error"})
    panel.update(Observed("a", 25.0, clip(1, 3), instruments, real=clip(0, 3)))
    assert panel.metrics["head_pose_error"].compute().value == pytest.approx(10.0, abs=0.1)
    metric = HeadPoseError(DETECTOR)
    metric.update("hidden", np.full((3, 3), np.nan), np.zeros((3, 3)))
    assert metric.compute().coverage == 0.0
    with pytest.raises(MetricError, match="clip b has 2 generated frames for 3 real ones"):
        metric.update("b", np.zeros((2, 3)), np.zeros((3, 3)))


def test_blinks_are_counted_and_eyes_that_stay_shut_or_are_hidden_are_none():
    eyes = np.full(50, 0.3)
    eyes[[10, 11, 30]] = 0.1
    assert blinks(eyes, 25.0) == 2 and blinks(np.full(50, 0.3), 25.0) == 0
    shut = np.full(50, 0.3)
    shut[20:34] = 0.1
    assert blinks(shut, 25.0) == 0 and blinks(shut, 50.0) == 1
    eyes[:30] = np.nan
    assert np.isnan(blinks(eyes, 25.0))
    metric = BlinkRateError(DETECTOR)
    metric.update("hidden", eyes, shut, 25.0)
    assert metric.compute().coverage == 0.0


class Opinions:
    network = Network("dnsmos-p835", "0" * 64, "test")

    def __call__(self, sound):
        assert len(sound) == 16_000
        return np.array([3.0, 4.0, 2.5], np.float32)


def test_the_given_sounds_quality_is_a_fact_of_the_clip_and_silence_has_none():
    instruments = Instruments(dnsmos=Opinions())
    panel = Panel(instruments, {"sound"}, {"dnsmos_of_given_sound"})
    speech = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    panel.update(Observed("speech", 25.0, clip(0, 2), instruments, sound=speech, sample_rate=48_000))
    panel.update(Observed("silence", 25.0, clip(0, 2), instruments, sound=np.zeros(16_000, np.float32)))
    score = panel.metrics["dnsmos_of_given_sound"].compute()
    assert score.value == 2.5 and score.coverage == 0.5
    with pytest.raises(MetricError, match="is defined on dnsmos-p835"):
        SpeechQuality(DETECTOR)


def test_without_a_package_the_network_is_not_had_and_other_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(packaged.util, "find_spec", lambda name: None)
    for network in (Dnsmos, EfficientNetFeatures):
        with pytest.raises(NetworkError, match="not installed.*make people-and-text"):
            network()
        assert if_installed(network) is None
    (tmp_path / "other.onnx").write_bytes(b"other")
    with pytest.raises(NetworkError, match=r"other\.onnx holds other weights than dnsmos"):
        packaged.known_weights(tmp_path / "other.onnx", "dnsmos", "0" * 64, "p")


def test_the_architecture_has_the_published_number_of_parameters():
    """4.65 million by the table of EfficientNet-Lite's authors."""
    assert sum(parameter.numel() for parameter in EfficientNetLite0().parameters()) == 4_652_008


@pytest.fixture
def imagenet():
    network = if_installed(EfficientNetFeatures)
    return network or pytest.skip("needs `make people-and-text`")


def test_packaged_weights_name_what_a_picture_shows(imagenet):
    """A palace in China and a flower out of scikit-learn: ImageNet's classes 698 and 985."""
    import torch
    from sklearn.datasets import load_sample_image

    for name, expected in (("china.jpg", 698), ("flower.jpg", 985)):
        picture = load_sample_image(name)
        height, width = picture.shape[:2]
        square = picture[:, (width - height) // 2 : (width + height) // 2]
        features = imagenet(square[None])
        assert int(imagenet.model.classes(torch.from_numpy(features)).argmax()) == expected
        blurred = np.asarray(square[::8, ::8])
        assert np.abs(features - imagenet(blurred[None])).mean() > 0.05


def test_packaged_dnsmos_hears_noise():
    dnsmos = if_installed(Dnsmos) or pytest.skip("needs `make people-and-text`")
    rng, time = np.random.default_rng(0), np.arange(16_000 * 4) / 16_000
    voice = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20)) * (np.sin(2 * np.pi * 3 * time) > 0) * 0.1
    clean, noisy = dnsmos(voice), dnsmos(voice + rng.normal(0, 0.05, voice.shape))
    assert noisy[1] < clean[1] - 0.5, "a background that hisses"
