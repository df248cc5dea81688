"""Scores on ladders of known answers: each orders its ladder, and finds what was put in within the stated tolerance."""

import cv2
import numpy as np
import pytest

from curation.people.keypoints import FACE, LEFT_HAND, RIGHT_HAND, Detected
from curation.scores.person.people import people
from curation.scores.picture.camera import camera
from curation.scores.picture.compression import bits_per_pixel, blockiness
from curation.scores.picture.exposure import contrast, histogram, lost_shares
from curation.scores.picture.letterbox import Bars, bar_share, bars
from curation.scores.picture.motion import motion
from curation.scores.picture.noise import noise
from curation.scores.picture.quality import weightless_quality
from curation.scores.picture.resolution import detail_bandwidth
from curation.scores.picture.sharpness import sharpness
from curation.scores.sound.loudness import clipping_share, loudness_lufs, snr_db
from media import encode_clip
from media.keypoints.head_pose import HEAD, POINTS, camera_matrix, head_angles, rotation_of
from profiles.scores import CameraConfig, PeopleConfig, QualityConfig

RATE = 16_000


def texture(height: int = 144, width: int = 192, seed: int = 0) -> np.ndarray:
    """`(H, W)` float32 about 128: noise smoothed to features of a few pixels."""
    field = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=(height, width)).astype(np.float32), (0, 0), 3.0)
    return 128 + 40 * field / field.std()


def moved(picture: np.ndarray, shifts: np.ndarray, zoom: float = 1.0) -> np.ndarray:
    """`(T, h, w)` uint8: the middle of `picture`, moved by each of `(T, 2)` shifts (x, y) exactly to sub-pixels."""
    height, width = picture.shape
    frames = []
    for t, (x, y) in enumerate(shifts):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 0, zoom**t)
        matrix[:, 2] += [x, y]
        frames.append(
            cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        )
    return np.clip(np.stack(frames)[:, 24:-24, 32:-32], 0, 255).round().astype(np.uint8)


def steps(count: int, speed: float) -> np.ndarray:
    return np.stack([np.arange(count) * speed, np.zeros(count)], axis=1)


@pytest.mark.parametrize("speed", [0.25, 1.0, 3.0])
def test_a_pan_is_camera_and_not_body_and_does_not_shake(speed):
    found = camera(moved(texture(), steps(9, speed)), CameraConfig())
    assert found["camera_motion"] == pytest.approx(speed, rel=0.05, abs=0.02)
    assert found["body_motion"] < 0.1 and found["shakiness"] < 0.1
    assert motion(moved(texture(), steps(9, speed)).astype(np.float32)) == pytest.approx(speed, rel=0.2)


def test_a_person_that_moves_before_a_still_wall_is_body_and_not_camera():
    wall, person = moved(texture(seed=1), steps(9, 0.0)), moved(texture(seed=2), steps(9, 2.0))
    frames = wall.copy()
    frames[:, 30:70, 45:85] = person[:, 30:70, 45:85]
    found = camera(frames, CameraConfig())
    assert found["camera_motion"] < 0.1
    share = 40 * 40 / frames[0].size
    assert found["body_motion"] == pytest.approx(2.0 * share, rel=0.5)


def test_a_zoom_moves_the_edge_and_not_the_middle():
    found = camera(moved(texture(), steps(9, 0.0), zoom=1.01), CameraConfig())
    height, width = 96, 128
    corners, sides, ends = np.hypot(width, height) / 2, width / 2, height / 2
    expected = 0.01 * (4 * corners + 2 * sides + 2 * ends) / 9
    assert found["camera_motion"] == pytest.approx(expected, rel=0.1)
    assert found["shakiness"] < 0.1


def test_shakiness_orders_its_ladder_and_is_the_change_of_speed():
    rng = np.random.default_rng(3)
    walk = rng.normal(size=(11, 2))
    found = [camera(moved(texture(), scale * walk), CameraConfig())["shakiness"] for scale in (0.0, 0.5, 1.0, 2.0)]
    assert found == sorted(found) and found[0] < 0.05
    expected = np.hypot(*np.diff(walk, n=2, axis=0).T).mean()
    assert found[2] == pytest.approx(expected, rel=0.1)


def test_a_flat_picture_has_no_camera_motion_rather_than_none():
    assert np.isnan(camera(np.full((5, 60, 80), 128, np.uint8), CameraConfig())["camera_motion"])


def test_sharpness_and_bandwidth_fall_along_the_blur_ladder():
    picture = texture(256, 256) + 12 * np.random.default_rng(1).normal(size=(256, 256)).astype(np.float32)
    ladder = [
        np.clip(cv2.GaussianBlur(picture, (0, 0), s) if s else picture, 0, 255).astype(np.uint8)[None]
        for s in (0, 0.7, 1.5, 3)
    ]
    assert np.all(np.diff([sharpness(image) for image in ladder]) < 0)
    assert np.all(np.diff([detail_bandwidth(image) for image in ladder]) < 0)


def test_weightless_quality_falls_with_blur_and_with_noise():
    def quality(picture: np.ndarray) -> float:
        return weightless_quality(picture.clip(0, 255).astype(np.uint8)[None], QualityConfig())

    clean, grain = texture(256, 256), np.random.default_rng(1).normal(size=(256, 256))
    assert np.all(np.diff([quality(cv2.GaussianBlur(clean, (0, 0), sigma)) for sigma in (0.3, 2, 4, 8)]) < 0)
    # Up to a point noise reads as sharpness; beyond it each step costs.
    assert np.all(np.diff([quality(clean + deviation * grain) for deviation in (10, 20, 40)]) < 0)


@pytest.mark.parametrize("factor", [2, 4])
def test_an_enlarged_picture_reads_its_old_bandwidth(factor):
    grain = np.random.default_rng(0).normal(128, 30, (512, 512)).clip(0, 255).astype(np.float32)
    small = grain[: 512 // factor, : 512 // factor]
    large = cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    full, enlarged = (detail_bandwidth(image.astype(np.uint8)[None]) for image in (grain, large))
    assert enlarged == pytest.approx(full / factor, rel=0.35)


def test_noise_finds_the_deviation_of_its_ladder_within_15_percent():
    rng = np.random.default_rng(0)
    for deviation in (2.0, 5.0, 10.0, 20.0):
        noisy = texture() + deviation * rng.normal(size=(144, 192))
        assert noise(noisy.clip(0, 255).astype(np.uint8)[None]) == pytest.approx(deviation, rel=0.15)
    assert noise(texture().astype(np.uint8)[None]) < 0.6


def test_blockiness_rises_as_jpeg_quality_falls_and_is_0_without_a_grid():
    picture = texture(256, 256).astype(np.uint8)

    def coded(quality: int) -> np.ndarray:
        data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)[None]

    ladder = [blockiness(coded(quality)) for quality in (95, 50, 20, 5)]
    assert ladder == sorted(ladder) and ladder[0] < 0.03 and ladder[-1] > 0.3
    assert blockiness(picture[None]) < 0.03


def test_bits_per_pixel_falls_along_the_crf_ladder_and_is_exact():
    frames = np.repeat(moved(texture(), steps(9, 1.0))[..., None], 3, axis=-1)
    sizes = [len(encode_clip(frames, 16.0, crf=crf)) for crf in (5, 20, 35)]
    found = [bits_per_pixel(size, 128, 96, 9) for size in sizes]
    assert found == sorted(found, reverse=True)
    assert bits_per_pixel(1000, 10, 20, 4) == 10.0


@pytest.mark.parametrize("known", [Bars(0, 0, 0, 0), Bars(12, 12, 0, 0), Bars(0, 0, 20, 9), Bars(7, 3, 5, 0)])
def test_letterbox_finds_the_bars_to_the_pixel(known):
    rng = np.random.default_rng(0)
    frames = np.repeat(texture().astype(np.uint8)[None], 3, axis=0)
    height, width = frames.shape[1:]
    inside = np.zeros((height, width), bool)
    inside[known.top : height - known.bottom, known.left : width - known.right] = True
    frames[:, ~inside] = rng.integers(14, 19, (3, (~inside).sum()))  # video black with the noise of coding
    assert bars(frames) == known
    assert bar_share(known, height, width) == pytest.approx(1 - inside.mean())


def test_a_dark_scene_is_no_letterbox():
    assert bars(np.full((3, 40, 60), 10, np.uint8)) == Bars(0, 0, 0, 0)
    scene = np.full((3, 40, 60), 10, np.uint8)
    scene[1] = 200
    assert bars(scene) == Bars(0, 0, 0, 0)


def test_exposure_ladder_orders_brightness_and_loses_what_is_out_of_range():
    lost = []
    for gain in (0.1, 1.0, 3.0):
        shares = histogram((texture() * gain).clip(0, 255).astype(np.uint8)[None])
        lost.append(lost_shares(shares, 8.0, 250.0))
    assert lost[0][0] > lost[1][0] and lost[2][1] > 0.7 > 0.01 > lost[1][1]
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))[None]
    assert contrast(histogram(ramp)) == pytest.approx(0.9, abs=0.01)
    assert lost_shares(histogram(ramp), 7.0, 254.0) == (8 / 256, 2 / 256)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_loudness_of_the_reference_tone_and_of_a_ladder(rate):
    time = np.arange(3 * rate) / rate
    tone = np.sin(2 * np.pi * 997 * time)
    # BS.1770-4: a 0 dBFS sine of 997 Hz in one channel is -3.01 LKFS.
    assert loudness_lufs(tone, rate) == pytest.approx(-3.01, abs=0.15)
    assert loudness_lufs(0.1 * tone, rate) == pytest.approx(-23.01, abs=0.15)
    # The gate leaves silence out; without it half a silence would take 3 dB off.
    assert loudness_lufs(np.concatenate([tone, np.zeros(len(tone))]), rate) == pytest.approx(-3.01, abs=0.4)
    assert np.isnan(loudness_lufs(np.zeros(rate), rate)) and np.isnan(loudness_lufs(tone[:1000], rate))


def test_clipping_is_the_share_of_flattened_samples():
    tone = np.sin(2 * np.pi * 100 * np.arange(RATE) / RATE)
    ladder = [clipping_share(np.clip(gain * tone, -1, 1)) for gain in (0.9, 1.5, 3.0)]
    assert ladder[0] == 0.0
    for gain, found in zip((1.5, 3.0), ladder[1:], strict=True):
        assert found == pytest.approx(1 - 2 / np.pi * np.arcsin(0.985 / gain), abs=0.02)
    lonely = np.zeros(1000)
    lonely[::10] = 1.0
    assert clipping_share(lonely) == 0.0


def test_snr_finds_the_ladder_within_2_db():
    rng = np.random.default_rng(0)
    words = (np.arange(5 * RATE) // 4000 % 2).astype(float)
    speech = words * rng.normal(size=5 * RATE) * 0.1
    for wanted in (0, 10, 20, 30):
        noisy = speech + rng.normal(size=len(speech)) * 0.1 * 10 ** (-wanted / 20)
        assert snr_db(noisy, RATE) == pytest.approx(wanted, abs=2.0)
    assert np.isnan(snr_db(np.zeros(RATE), RATE))


def whole_body(frames: int = 10, height: int = 100, width: int = 80) -> np.ndarray:
    """A person of whom every point is seen: a face of 40 x 30 pixels, hands below it."""
    rng = np.random.default_rng(0)
    keypoints = np.ones((frames, 133, 3), np.float32)
    keypoints[..., :2] = rng.uniform([10, 70], [70, 95], (133, 2))
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    keypoints[:, FACE, 0], keypoints[:, FACE, 1] = 40 + 15 * np.cos(angle), 30 + 20 * np.sin(angle)
    return keypoints


def of_people(keypoints: np.ndarray, counted: np.ndarray | None = None) -> dict:
    return people(Detected(keypoints, counted), 100, 80, PeopleConfig())


def test_hidden_hands_lower_their_visibility_by_exactly_their_share():
    keypoints = whole_body()
    assert of_people(keypoints)["hand_visibility"] == 1.0
    keypoints[:, RIGHT_HAND, 2] = 0.0
    assert of_people(keypoints)["hand_visibility"] == 0.5
    keypoints[:4, LEFT_HAND, 2] = 0.0
    found = of_people(keypoints)
    assert found["hand_visibility"] == pytest.approx(0.3)
    assert found["hand_confidence"] == pytest.approx(0.3)
    assert found["face_visibility"] == found["body_visibility"] == 1.0


def test_face_size_count_covered_face_and_points_outside():
    keypoints = whole_body()
    found = of_people(keypoints, np.array([1, 1, 3, 2, 1, 1, 1, 1, 1, 1]))
    assert found["face_size"] == pytest.approx(0.40, abs=0.005) and found["people_count"] == 3
    assert found["face_covered_share"] == 0.0 and found["cut_off_share"] == 0.0
    keypoints[:3, LEFT_HAND.start, :2] = 40, 30  # one finger on the nose in 3 of 10 frames
    keypoints[8:, 9, 0] = 85.0  # a wrist beyond the right edge in 2 of 10
    found = of_people(keypoints)
    assert found["face_covered_share"] == pytest.approx(0.3) and found["cut_off_share"] == pytest.approx(0.2)
    assert np.isnan(found["people_count"])


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, 15), (-40, 10, -20)])
def test_head_angles_of_a_projected_head_are_its_own_within_1_degree(angles):
    height, width = 480, 640
    turned = HEAD @ rotation_of(*angles).T + [20, -10, 900]
    image = turned @ camera_matrix(height, width).T
    keypoints = np.zeros((1, 133, 3), np.float32)
    keypoints[0, [FACE.start + point for point in POINTS], :2] = image[:, :2] / image[:, 2:]
    keypoints[0, FACE, 2] = 1.0
    assert head_angles(keypoints, height, width, 0.5)[0] == pytest.approx(angles, abs=1.0)
    keypoints[0, FACE.start + POINTS[0], 2] = 0.1
    assert np.isnan(head_angles(keypoints, height, width, 0.5)).all()


def test_a_head_turned_to_the_pictures_right_has_positive_yaw_and_one_looking_up_positive_pitch():
    nose = np.array([0.0, 0.0, -1.0])  # towards the camera
    assert (rotation_of(30, 0, 0) @ nose)[0] > 0.4
    assert (rotation_of(0, 30, 0) @ nose)[1] < -0.4  # y points down
    crown = np.array([0.0, -1.0, 0.0])
    assert (rotation_of(0, 0, 30) @ crown)[0] > 0.4  # clockwise as seen
