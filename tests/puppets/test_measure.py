"""Measuring a clip returns what was drawn: on clean pixels, after lossy coding, and as keypoints."""

import numpy as np
import pytest

from media import decode_clip, encode_clip
from puppets import PuppetKeypoints, measure, measure_colours, render
from puppets.render import MOUTH_CLOSED, MOUTH_OPEN

SEEDS = range(1000, 1010)


@pytest.fixture(scope="module", params=["clean", "h264"])
def measured(request):
    puppets = [render(seed) for seed in SEEDS]
    frames = [p.frames for p in puppets]
    if request.param == "h264":
        frames = [decode_clip(encode_clip(p.frames, p.fps, p.audio), p.fps).frames for p in puppets]
    return puppets, [measure(clip) for clip in frames]


def test_mouth_opening_reads_back(measured):
    puppets, found = measured
    opening, truth = np.concatenate([m.opening for m in found]), np.concatenate([p.opening for p in puppets])
    assert np.corrcoef(opening, truth)[0, 1] > 0.99
    assert np.abs(opening - truth).mean() < 0.05


def test_joints_read_back(measured):
    puppets, found = measured
    errors = np.concatenate(
        [np.linalg.norm(m.joints - p.joints, axis=-1).ravel() for p, m in zip(puppets, found, strict=True)]
    )
    assert np.isfinite(errors).all() and np.median(errors) < 0.15 and errors.max() < 1.0


def test_colours_read_back(measured):
    puppets, found = measured
    assert max(np.abs(m.colours - p.colours).max() for p, m in zip(puppets, found, strict=True)) < 0.02


def test_a_missing_disc_is_missing_and_not_at_the_origin():
    frames = render(1000, "hidden_arms", 5).frames
    found = measure(frames)
    assert found.missing.all() and np.isnan(found.joints).all() and (found.mass < 0.05).all()


def test_float_pixels_measure_as_uint8_does():
    frames = render(1001, "clean", 5).frames
    np.testing.assert_allclose(measure(frames / 255.0).opening, measure(frames).opening, atol=1e-5)
    np.testing.assert_allclose(measure_colours(frames / 255.0), measure_colours(frames), atol=1e-5)


def test_another_canvas_is_refused():
    with pytest.raises(ValueError, match=r"\(T, 64, 64, 3\)"):
        measure(np.zeros((3, 32, 32, 3), np.uint8))


def test_keypoints_stand_where_wholebody_has_them():
    puppet = render(1002)
    keypoints = PuppetKeypoints()(puppet.frames)
    assert keypoints.shape == (25, 133, 3) and keypoints.dtype == np.float32
    # COCO: 7 left elbow, 9 left wrist, 8 right elbow, 10 right wrist; puppets draw left elbow, left wrist, right ...
    assert np.abs(keypoints[:, [7, 9, 8, 10], :2] - puppet.joints).max() < 0.5
    assert (keypoints[:, [7, 8, 9, 10], 2] == 1.0).all()
    others = np.delete(keypoints, [7, 8, 9, 10, 85, 89], axis=1)
    assert (others == 0).all()


def test_inner_lips_are_as_far_apart_as_the_mouth_is_drawn_open():
    puppet = render(1003)
    lips = PuppetKeypoints()(puppet.frames)[:, [85, 89]]
    drawn = 2 * (MOUTH_CLOSED + (MOUTH_OPEN - MOUTH_CLOSED) * puppet.opening)
    np.testing.assert_allclose(lips[:, 1, 1] - lips[:, 0, 1], drawn, atol=0.3)
    assert (lips[..., 2] > 0.9).all() and np.abs(lips[:, 0, 0] - 32).max() < 2.0


def test_hidden_arms_have_confidence_zero():
    keypoints = PuppetKeypoints()(render(1004, "hidden_arms", 5).frames)
    assert (keypoints[:, [7, 8, 9, 10]] == 0).all() and (keypoints[:, 85, 2] > 0.9).all()


def test_a_blank_picture_has_no_keypoint():
    for level in (0, 25, 200):
        assert (PuppetKeypoints()(np.full((2, 64, 64, 3), level, np.uint8)) == 0).all()
