"""Facts of a window, on made-up keypoints with known answers."""

import numpy as np
import pytest

from curation.people.faces import count_people
from curation.people.keypoints import FACE, INNER_LIP_BOTTOM, INNER_LIP_TOP, LEFT_SHOULDER, RIGHT_SHOULDER
from curation.snapshot.sample_facts import measure_facts

FPS = 20.0


def person(frames: int = 11) -> np.ndarray:
    """Shoulders 40 pixels apart that move by 2 pixels a frame; a face from 20 to 70 high whose mouth opens by 1 pixel a frame."""
    points = np.zeros((frames, 133, 3), np.float32)
    points[:, FACE, 0] = np.linspace(30, 60, 68)
    points[:, FACE, 1] = np.linspace(20, 70, 68)
    points[:, INNER_LIP_TOP, :2], points[:, INNER_LIP_BOTTOM, 0] = (45, 50), 45
    points[:, INNER_LIP_BOTTOM, 1] = 50 + np.arange(frames)
    for shoulder, x in ((LEFT_SHOULDER, 65), (RIGHT_SHOULDER, 25)):
        points[:, shoulder, 0], points[:, shoulder, 1] = x + 2 * np.arange(frames), 90
        points[:, shoulder, 2] = 1
    points[:, FACE, 2] = 1
    return points


def scene(frames: int = 11) -> np.ndarray:
    """Black, with 100 grey where the face is."""
    pictures = np.zeros((frames, 100, 100, 3), np.uint8)
    pictures[:, 20:71, 30:61] = 100
    return pictures


def test_speeds_are_in_shoulders_and_faces_per_second():
    facts = measure_facts(scene(), FPS, person(), None, None)
    assert facts.body_motion == pytest.approx(2 * FPS / 40) and facts.mouth_motion == pytest.approx(1 * FPS / 50)
    assert facts.face_size == pytest.approx(0.5) and facts.face_luma == pytest.approx(100 / 255, abs=1e-3)
    assert facts.people == 1 and np.isnan(facts.loudness)


def test_a_frame_in_which_a_point_is_not_seen_tells_nothing_of_its_speed():
    points = person()
    points[5, LEFT_SHOULDER] = 0, 0, 0.1
    points[5, INNER_LIP_TOP] = 0, 0, 0.1
    facts = measure_facts(scene(), FPS, points, None, None)
    assert facts.body_motion == pytest.approx(2 * FPS / 40) and facts.mouth_motion == pytest.approx(1 * FPS / 50)


def test_what_is_not_seen_is_not_a_number():
    facts = measure_facts(scene(), FPS, np.zeros((11, 133, 3), np.float32), None, None)
    assert all(np.isnan(v) for v in (facts.face_luma, facts.face_size, facts.body_motion, facts.mouth_motion))
    assert facts.people == 0
    headless = person()
    headless[:, FACE] = 0
    assert measure_facts(scene(), FPS, headless, None, None).body_motion == pytest.approx(2 * FPS / 40)
    assert np.isnan(measure_facts(scene(), FPS, None, None, None).face_luma)


def test_a_detector_that_counts_is_believed():
    assert measure_facts(scene(), FPS, person(), np.array([1] * 10 + [4]), None).people == 4


@pytest.mark.parametrize(("peak", "decibels"), [(1.0, -3.0103), (0.1, -23.0103), (0.0, -120.0)])
def test_loudness_is_the_root_mean_square_in_decibels(peak, decibels):
    tone = peak * np.sin(np.arange(16_000) * 2 * np.pi * 100 / 16_000)
    assert measure_facts(scene(), FPS, None, None, tone).loudness == pytest.approx(decibels, abs=1e-3)


def test_a_small_shadow_that_looks_like_a_face_is_no_second_person():
    large, half, small = [0, 0, 100, 100], [100, 0, 50, 50], [100, 0, 44, 44]
    counts = [
        count_people(np.array(boxes).reshape(-1, 4)) for boxes in ([], [large], [large, small], [large, half, small])
    ]
    assert counts == [0, 1, 1, 2]
