"""People: how many, how large the face is, which parts are seen, how sure the detector is, where the head looks."""

import cv2
import numpy as np

from curation.people.keypoints import FACE, LEFT_HAND, RIGHT_HAND, UPPER_BODY, Detected
from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from media.keypoints.head_pose import head_angles
from profiles.scores import PeopleConfig

COLUMNS = (
    "people_count", "face_size", "face_visibility", "hand_visibility", "hand_confidence", "body_visibility",
    "keypoint_confidence", "face_covered_share", "cut_off_share", "head_yaw", "head_pitch", "head_roll",
)  # fmt: skip


def group_visibility(keypoints: np.ndarray, group: slice | list[int], confident: float, share: float) -> np.ndarray:
    """`(T,)` bool: at least `share` of the group's points of `(T, 133, 3)` have a confidence above `confident`."""
    return np.asarray((keypoints[:, group, 2] > confident).mean(axis=1) >= share)


def face_height(keypoints: np.ndarray, confident: float) -> np.ndarray:
    """`(T,)` pixels from the highest to the lowest seen face point; NaN where fewer than two are seen."""
    y = np.where(keypoints[:, FACE, 2] > confident, keypoints[:, FACE, 1], np.nan)
    seen = np.isfinite(y).sum(axis=1) >= 2
    heights = np.full(len(y), np.nan)
    heights[seen] = np.nanmax(y[seen], axis=1) - np.nanmin(y[seen], axis=1)
    return heights


def face_covered(keypoints: np.ndarray, confident: float) -> np.ndarray:
    """`(T,)` bool: a seen point of a hand lies inside the hull of the seen face points, so that a hand hides the face."""
    covered = np.zeros(len(keypoints), bool)
    for t, frame in enumerate(keypoints.astype(np.float32)):
        face = frame[FACE][frame[FACE, 2] > confident, :2]
        hands = np.concatenate([frame[LEFT_HAND], frame[RIGHT_HAND]])
        hands = hands[hands[:, 2] > confident, :2]
        if len(face) >= 3 and len(hands):
            hull = cv2.convexHull(face)
            covered[t] = any(cv2.pointPolygonTest(hull, (float(x), float(y)), False) > 0 for x, y in hands)
    return covered


def cut_off(keypoints: np.ndarray, height: int, width: int, confident: float) -> np.ndarray:
    """`(T,)` bool: a point that counts as seen lies outside the picture: the detector guesses what the edge cuts off."""
    x, y = keypoints[..., 0], keypoints[..., 1]
    outside = (x < 0) | (x >= width) | (y < 0) | (y >= height)
    return np.any(outside & (keypoints[..., 2] > confident), axis=1)


def people(detected: Detected, height: int, width: int, config: PeopleConfig) -> Values:
    """All columns from keypoints `(T, 133, 3)` in a picture of `height` x `width`.

    `people_count` is the most that were seen in any frame, NaN where the detector cannot count. Head angles are medians
    over the frames in which the face is seen. `face_size` is the face's height over the picture's, median.
    """
    keypoints, confident = detected.keypoints, config.confident
    hands = [group_visibility(keypoints, hand, confident, config.share) for hand in (LEFT_HAND, RIGHT_HAND)]
    heights = face_height(keypoints, confident) / height
    angles = head_angles(keypoints, height, width, confident)
    seen = keypoints[..., 2][keypoints[..., 2] > 0]
    count = float("nan") if detected.people is None else float(detected.people.max(initial=0))
    return {
        "people_count": count,
        "face_size": _median(heights),
        "face_visibility": float(group_visibility(keypoints, FACE, confident, config.share).mean()),
        "hand_visibility": float(np.mean([hand.mean() for hand in hands])),
        "hand_confidence": float(np.mean([keypoints[:, hand, 2].mean() for hand in (LEFT_HAND, RIGHT_HAND)])),
        "body_visibility": float((keypoints[:, UPPER_BODY, 2] > confident).mean()),
        "keypoint_confidence": float(seen.mean()) if len(seen) else 0.0,
        "face_covered_share": float(face_covered(keypoints, confident).mean()),
        "cut_off_share": float(cut_off(keypoints, height, width, confident).mean()),
        "head_yaw": _median(angles[:, 0]),
        "head_pitch": _median(angles[:, 1]),
        "head_roll": _median(angles[:, 2]),
    }


def _median(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def score(material: Material, config: PeopleConfig) -> Values:
    """All columns."""
    height, width = material.size
    return people(material.detected, height, width, config)


PEOPLE = Score("people", "1", floats(*COLUMNS), ("keypoints",), score)
