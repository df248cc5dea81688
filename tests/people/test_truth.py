"""What a clip says of itself is true of its pixels."""

import json

import numpy as np
import pytest

from people import render
from people.classes import PixelClass as C
from people.raster.scene import Camera
from people.scene.camera import look_at

SEEDS = (1, 3, 8)
EYES = slice(23 + 36, 23 + 48)
NOSE = 23 + 30
LIP_TOP, LIP_BOTTOM = 23 + 62, 23 + 66


@pytest.fixture(scope="module", params=SEEDS)
def clip(request):
    return render(request.param, frames=5, size=96, framing="close")


def classes_near(clip, t, point, reach=1):
    x, y = np.round(clip.keypoints[t, point, :2]).astype(int)
    return set(clip.classes[t, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].ravel())


def test_shapes_and_ranges(clip):
    assert clip.frames.shape == (5, 96, 96, 3) and clip.frames.dtype == np.uint8
    assert clip.audio.shape == (5000,) and clip.audio.dtype == np.float32
    assert clip.keypoints.shape == (5, 133, 3) and set(np.unique(clip.keypoints[..., 2])) <= {0.0, 0.5, 1.0}
    assert clip.units.shape == (5, 52) and 0 <= clip.units.min() <= clip.units.max() <= 1
    assert clip.phones[0].start == 0 and clip.phones[-1].end == pytest.approx(5 / 16)


def test_face_points_lie_on_the_face(clip):
    for t in range(5):
        for point in range(23 + 17, 23 + 68):
            if clip.keypoints[t, point, 2] == 1:
                assert classes_near(clip, t, point) & {C.SKIN, C.EYE, C.LASHES, C.MOUTH, C.TEETH, C.BEARD}, (t, point)


def test_eyes_are_drawn_between_their_points(clip):
    t = int(np.argmin(clip.units[:, clip.unit_names.index("eyeBlinkLeft")]))
    rows, columns = np.nonzero(clip.classes[t] == C.EYE)
    assert len(rows) > 4
    points = clip.keypoints[t, EYES]
    assert points[:, 0].min() - 1.5 < columns.min() and columns.max() < points[:, 0].max() + 1.5
    assert points[:, 1].min() - 2 < rows.min() and rows.max() < points[:, 1].max() + 2


def test_open_mouth_shows_its_inside_between_the_lips():
    clip = render(1, frames=25, size=96, framing="close")
    wide = np.flatnonzero(clip.opening_pixels > 3)
    assert len(wide) >= 3
    for t in wide:
        top, bottom = clip.keypoints[t, LIP_TOP, :2], clip.keypoints[t, LIP_BOTTOM, :2]
        x, y = np.round((top + bottom) / 2).astype(int)
        assert clip.classes[t, y, x] in (C.MOUTH, C.TEETH)
        assert clip.opening_pixels[t] == pytest.approx(np.hypot(*(top - bottom)), abs=1e-3)


def test_shut_mouth_shows_little_of_its_inside():
    clip = render(1, frames=25, size=96, framing="close")
    inside = np.isin(clip.classes, (C.MOUTH, C.TEETH)).mean(axis=(1, 2))
    shut, wide = clip.opening < 0.03, clip.opening > 0.12
    assert shut.any() and wide.any() and inside[shut].mean() < 0.3 * inside[wide].mean()
    assert np.corrcoef(inside, clip.opening)[0, 1] > 0.8


def test_person_is_one_piece_in_the_picture(clip):
    shares = np.bincount(clip.classes.ravel(), minlength=11) / clip.classes.size
    assert 0.05 < shares[C.SKIN] < 0.7 and shares[C.BACKGROUND] > 0.1 and shares[C.EYE] > 0.0003


def test_colour_of_what_is_drawn_is_not_the_backgrounds(clip):
    person = clip.classes != C.BACKGROUND
    assert (
        np.abs(clip.frames[person].astype(float).mean(axis=0) - clip.frames[~person].astype(float).mean(axis=0)).max()
        > 3
    )


def test_turned_head_moves_the_nose_against_the_eyes():
    first = [render(seed, frames=1, size=64, framing="portrait", identity=77) for seed in range(24)]
    yaw = np.array([p.head[0, 0] for p in first])
    eyes = np.array([p.keypoints[0, EYES, 0].mean() for p in first])
    width = np.array([np.ptp(p.keypoints[0, EYES, 0]) for p in first])
    nose = (np.array([p.keypoints[0, NOSE, 0] for p in first]) - eyes) / width
    assert np.corrcoef(yaw, nose)[0, 1] > 0.95  # to the person's left is to the picture's right
    assert np.ptp(yaw) > 15


def test_hands_are_where_the_id_buffer_shows_skin():
    clip = render(2, frames=5, size=128, framing="upper")
    seen = 0
    for t in range(5):
        for point in (*range(91, 133),):
            if clip.keypoints[t, point, 2] == 1:
                seen += 1
                assert classes_near(clip, t, point, 2) & {C.SKIN, C.CLOTH}, (t, point)
    for start in (91, 112):
        wrist = clip.keypoints[:, start, :2]
        np.testing.assert_allclose(wrist, clip.keypoints[:, 9 if start == 91 else 10, :2], atol=4.0)


def test_sidecar_is_json_with_the_whole_truth(clip):
    labels = json.loads(clip.sidecar())
    person = labels["person"]
    assert labels["caption"] == clip.caption and labels["identity"] == clip.name
    np.testing.assert_allclose(np.array(person["keypoints"]), clip.keypoints, atol=0.006)
    np.testing.assert_allclose(person["mouth_opening"], clip.opening, atol=1e-5)
    assert len(person["unit_names"]) == 52 and person["parameters"]["garment"]["kind"]
    assert [p[0] for p in person["phones"]] == [p.symbol for p in clip.phones]


def test_camera_projects_its_target_to_the_middle():
    view = look_at(np.array([1.0, 2.0, 14.0]), np.array([0.5, 1.0, 0.0]), 4.0, 64)
    x, y, _ = view.lens.project(view.to_camera(np.array([0.5, 1.0, 0.0])))
    assert (x, y) == pytest.approx((31.5, 31.5))
    np.testing.assert_allclose(view.axes @ view.axes.T, np.eye(3), atol=1e-12)
    assert isinstance(view.lens, Camera)
