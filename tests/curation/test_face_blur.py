"""Faces are hidden, the rest is not, and a picture in which no face is found is hidden as a whole."""

import numpy as np

from assets.kinds.detectors import face_hider
from curation.people.face_blur import FaceBlur
from curation.people.keypoints import FACE
from media import decode_clip
from media.hiding import as_it_is
from profiles import load_profile


class OneFace:
    """A detector that sees a face between 40 and 60 pixels from the left and from the top."""

    name, version = "one-face", "1"

    def __call__(self, frames):
        keypoints = np.zeros((len(frames), 133, 3), np.float32)
        keypoints[:, FACE, 2] = 1
        keypoints[:, FACE, :2] = np.linspace(40, 60, FACE.stop - FACE.start)[:, None]
        return keypoints


def colours(picture):
    return len(np.unique(picture.reshape(-1, 3), axis=0))


def test_a_face_becomes_squares_and_the_rest_stays():
    picture = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    hidden = FaceBlur(OneFace())(picture)
    changed = np.argwhere((hidden != picture).any(axis=2))
    assert changed.min() == 33 and changed.max() == 66, "with a margin for hair and chin"
    assert colours(hidden[33:67, 33:67]) <= 36


def test_without_a_face_the_whole_picture_becomes_squares():
    picture = np.random.default_rng(0).integers(0, 255, (96, 160, 3), np.uint8)
    assert colours(FaceBlur(None)(picture)) <= 12 * 20


def test_a_real_face_is_found_by_what_opencv_packs(real_clips):
    picture = decode_clip(real_clips / "single_face.mp4", 4.0, max_seconds=1.5).frames[-1]
    changed = (FaceBlur(None)(picture) != picture).any(axis=2)
    rows, columns = np.argwhere(changed).T
    assert changed[170, 290], "the middle of her face"
    assert columns.min() > 80 and columns.max() < 560, "and not the picture's sides"


def test_the_setting_is_off_by_default():
    assert face_hider(load_profile("laptop")) is as_it_is
    assert isinstance(face_hider(load_profile("laptop", ["reports.blur_faces=true"])), FaceBlur)
