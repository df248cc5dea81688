"""Is anybody there: by the keypoints, by faces where those find nobody, and nobody in noise, bars and drawings."""

import cv2
import numpy as np
import pandas as pd
import pytest

from assets.kinds.detectors import unread_people
from curation.bucket import BucketClip
from curation.people.faces import NAME, find_faces
from curation.people.keypoints import FACE, LEFT_HAND
from curation.scores.clip_media import Bench, Material
from curation.scores.person.presence import NOBODY, score, share_with_keypoints
from profiles.scores import PresenceConfig
from puppets import PuppetKeypoints, render


def material(frames: np.ndarray, laptop) -> Material:
    return Material.of_bucket(BucketClip(frames, None), Bench(laptop.video, PuppetKeypoints(), (), 4))


def test_keypoints_of_face_or_body_count_and_a_hand_alone_does_not():
    keypoints = np.zeros((4, 133, 3), np.float32)
    keypoints[0, FACE.start, 2] = keypoints[1, 5, 2] = 0.9
    keypoints[2, LEFT_HAND, 2] = 0.9
    assert share_with_keypoints(keypoints, 0.5) == 0.5


def test_a_puppet_is_seen_by_its_own_detector_and_an_empty_picture_by_none(laptop):
    config = PresenceConfig()
    assert score(material(render(1, frames=17).frames, laptop), config) == {
        "person_share": 1.0,
        "person_by": "puppet-colours",
    }
    assert score(material(np.full((17, 64, 64, 3), 90, np.uint8), laptop), config) == {
        "person_share": 0.0,
        "person_by": NOBODY,
    }


def drawing() -> np.ndarray:
    """A cartoon's hill, sun and round animal with ears."""
    picture = np.full((240, 320, 3), (120, 190, 240), np.uint8)
    cv2.rectangle(picture, (0, 160), (320, 240), (90, 170, 70), -1)
    cv2.circle(picture, (270, 40), 25, (250, 220, 60), -1)
    for ear in (140, 180):
        cv2.ellipse(picture, (ear, 80), (10, 35), 0, 0, 360, (150, 150, 155), -1)
    cv2.circle(picture, (160, 130), 40, (150, 150, 155), -1)
    return picture


@pytest.mark.parametrize("side", [64, 256])
def test_noise_and_colour_bars_show_no_face(side):
    noise = np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)
    bars = np.repeat(np.repeat(np.eye(3, dtype=np.uint8)[None] * 255, side, axis=0), side // 3, axis=1)
    assert not len(find_faces(noise)) and not len(find_faces(bars)) and not len(find_faces(drawing()))


def test_people_whom_a_puppets_detector_cannot_read_are_told_of_with_the_remedy(laptop):
    scores = pd.DataFrame({"clip_id": list("abc"), "person_by": [NAME, "puppet-colours", NAME]})
    note = unread_people(laptop, scores)
    assert note.startswith("2 of 3 clips show people") and "`encoders.keypoints: mediapipe`" in note
    assert unread_people(laptop, scores[1:2]) == "" and unread_people(laptop, scores[["clip_id"]]) == ""
    of_people = laptop.model_copy(update={"encoders": laptop.encoders.model_copy(update={"keypoints": "mediapipe"})})
    assert unread_people(of_people, scores) == ""
