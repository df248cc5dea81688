"""Metrics against the truth of rendered people: perfect on the truth itself, and off by what is known to be wrong."""

import numpy as np
import pytest

import people
from evaluation.benchmark.people_truth import lids_of
from evaluation.metrics.observation.needs import OF_RENDERED_PEOPLE
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.people.truth.blinks import BlinkAgreement, TrueBlinkRateError
from evaluation.metrics.people.truth.hands_and_body import MissingTrueHands, TrueHandError, TrueHandErrorPixels
from evaluation.metrics.people.truth.visemes import count_shapes
from evaluation.metrics.person_truth import PersonTruth
from evaluation.metrics.registry import METRICS
from evaluation.panel import Instruments, Panel, measurable
from media.keypoints.head_pose import head_angles
from networks.weights import Network

SIZE, FRAMES = 64, 49
NETWORK = Network("keypoints", "0" * 64, "what was drawn")
OF_TRUTH = {name for name, kind in METRICS.items() if OF_RENDERED_PEOPLE & {*kind.needs}}


class Reader:
    """A detector that reads these points, whatever it is shown."""

    network = NETWORK

    def __init__(self, points):
        self.points = points

    def __call__(self, frames):
        return self.points


@pytest.fixture(scope="module")
def clip():
    return people.render(5002, frames=FRAMES, size=SIZE, framing="half", samples=1)


@pytest.fixture(scope="module")
def truth(clip):
    phones = [(phone.symbol, phone.start, phone.end) for phone in clip.phones]
    return PersonTruth(clip.keypoints, clip.opening, lids_of(clip.units, list(clip.unit_names)), phones)


@pytest.fixture
def seen(truth):
    """The truth's own points, all of them seen."""
    points = truth.keypoints.copy()
    points[..., 2] = 1
    return points


def scores(points, truth, *names):
    panel = Panel(Instruments(keypoints=Reader(points)), {"person_truth"}, names or OF_TRUTH)
    frames = np.zeros((len(points), SIZE, SIZE, 3), np.uint8)
    panel.update(Observed("a", people.FPS, frames, panel_instruments(points), person_truth=truth))
    return {name: metric.compute() for name, metric in panel.metrics.items()}


def panel_instruments(points):
    return Instruments(keypoints=Reader(points))


def test_they_are_perfect_on_the_truth_fed_back(seen, truth):
    found = scores(seen, truth)
    assert set(found) == OF_TRUTH and all(score.coverage == 1.0 for score in found.values())
    values = {name: score.value for name, score in found.items()}
    assert values["true_mouth_r"] > 0.99 and values["true_in_sync"] == 1.0 and values["true_sync_offset"] == 0.0
    assert values["true_bilabials_closed"] == values["true_vowels_open"] == values["true_viseme_accuracy"] == 1.0
    for name in (
        "face_points_error",
        "head_pose_error",
        "hand_error",
        "hands_missing",
        "joint_error",
        "joints_missing",
    ):
        assert values[f"true_{name}"] == pytest.approx(0.0, abs=1e-6), name


@pytest.mark.parametrize("frames", [-3, 1, 4])
def test_a_shifted_mouth_is_off_by_just_so_many_frames(seen, truth, frames):
    face = np.s_[:, 23:91]
    centre = seen[face][:, 30:31, :2]  # the mouth moves against the nose, the head stays
    late = seen.copy()
    late[face][..., :2] = centre + np.roll(seen[face][..., :2] - centre, frames, axis=0)
    found = scores(late, truth, "true_sync_offset", "true_in_sync", "true_mouth_r")
    assert found["true_sync_offset"].value == abs(frames) and found["true_in_sync"].value == 0.0
    assert found["true_mouth_r"].value < 0.8


def test_a_mouth_that_stands_still_is_found(seen, truth):
    shut = int(truth.opening.argmin())
    still = np.repeat(seen[shut : shut + 1], FRAMES, axis=0)
    found = scores(still, truth, "true_mouth_r", "true_bilabials_closed", "true_vowels_open", "true_viseme_accuracy")
    assert np.isnan(found["true_mouth_r"].value) and found["true_mouth_r"].coverage == 0.0
    assert found["true_bilabials_closed"].value == 1.0 and found["true_vowels_open"].value == 0.0
    assert found["true_viseme_accuracy"].value == 0.5, "no better than chance, whatever it shows"


def test_a_lost_face_is_seen_wrong_and_has_no_error(seen, truth):
    seen[..., 2] = 0
    found = scores(seen, truth)
    assert found["true_viseme_accuracy"].value == 0.0 and found["true_joints_missing"].value == 1.0
    assert found["true_hands_missing"].value == 1.0
    for name in (
        "true_face_points_error",
        "true_mouth_r",
        "true_hand_error",
        "true_head_pose_error",
        "true_joint_error",
    ):
        assert np.isnan(found[name].value) and found[name].coverage == 0.0, name


def test_hands_are_off_by_as_many_pixels_as_they_were_moved(seen, truth):
    seen[:, 91:133, 0] += 3
    pixels, relative, missing = (kind(NETWORK) for kind in (TrueHandErrorPixels, TrueHandError, MissingTrueHands))
    seen[:10, 91:133, 2] = 0
    for metric in (pixels, relative, missing):
        metric.update("a", seen, truth.keypoints)
    assert pixels.compute().value == pytest.approx(3.0, abs=1e-5)
    assert 0.1 < relative.compute().value < 1.0 and 0.0 < missing.compute().value < 1.0


def test_the_pose_of_the_drawn_points_is_that_of_the_rig(clip):
    """To the person's left, down, and to the person's right there; to the picture's right, up and clockwise here."""
    angles = head_angles(clip.keypoints, SIZE, SIZE, -1.0)
    for axis, sign in enumerate((1, -1, -1)):
        assert np.corrcoef(sign * clip.head[:, axis], angles[:, axis])[0, 1] > 0.6, axis


def test_blinks_are_those_that_were_drawn():
    lids, eyes = np.zeros(32), np.full(32, 0.3)
    lids[[8, 9, 20]] = 1.0
    eyes[[8, 9, 25]] = 0.1
    rate, agreement = TrueBlinkRateError(NETWORK), BlinkAgreement(NETWORK)
    rate.update("a", eyes, lids, 16.0)
    agreement.update("a", eyes, lids)
    agreement.update("hidden", np.full(32, np.nan), lids)
    assert rate.compute().value == 0.0
    assert agreement.compute().value == pytest.approx(2 * 2 / (2 * 2 + 2)) and agreement.compute().coverage == 0.5


def test_a_frame_counts_only_where_the_lips_reach_what_the_phone_asks(truth, seen):
    there, right = count_shapes(seen, truth, people.FPS)
    assert (there == right).all() and there[:2].all() and there.sum() < FRAMES
    said = PersonTruth(truth.keypoints, np.full(FRAMES, 0.1), truth.lids, truth.phones)
    assert not count_shapes(seen, said, people.FPS)[0, :2].any(), "neither shut nor open anywhere"


def test_they_are_asked_of_rendered_people_only():
    unmeasured = {one.metric: one for one in measurable(panel_instruments(None), {"truth_frames", "sound"})[1]}
    assert set(unmeasured) >= OF_TRUTH and "rendered_people" in unmeasured["true_mouth_r"].remedy
