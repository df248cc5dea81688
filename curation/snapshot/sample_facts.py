"""What is measured of a frozen window so that scores can be told apart by it: light and size of the face, motion, loudness."""

from dataclasses import dataclass

import numpy as np

from curation.people.faces import count_people, find_faces
from curation.people.keypoints import BODY, CONFIDENT, FACE, LEFT_SHOULDER, RIGHT_SHOULDER, mouth_opening

LUMA = np.array([0.2126, 0.7152, 0.0722])  # red, green, blue; ITU-R BT.709
FACE_POINTS = 10  # of the 68: with fewer their box is no face's
LOOKED_AT_EVERY = 8  # frames between two that are looked at for faces where there are no points
FLOOR = 1e-6  # root mean square below which sound is -120 dB


@dataclass(frozen=True)
class Facts:
    """As in `media.frozen_set.FrozenSample`; NaN where unknown."""

    people: int
    face_luma: float
    face_size: float
    body_motion: float
    mouth_motion: float
    loudness: float


def measure_facts(
    frames: np.ndarray, fps: float, keypoints: np.ndarray | None, counted: np.ndarray | None, sound: np.ndarray | None
) -> Facts:
    """Measure one window.

    Args:
        frames: `(T, H, W, 3)` uint8 RGB.
        fps: of them.
        keypoints: `(T, 133, 3)` of them; None where nothing looked.
        counted: `(T,)` people that a detector counted; None where it does not count.
        sound: `(S,)` float; None where there is none.
    """
    boxes, faces = _faces(frames, keypoints)
    seen = int(keypoints is not None and bool((keypoints[..., 2] >= CONFIDENT).any()))
    heights = boxes[:, 3] - boxes[:, 1]
    face = float(np.nanmedian(heights)) if np.isfinite(heights).any() else np.nan
    body = mouth = np.nan
    if keypoints is not None:
        body = _speed(keypoints[:, BODY], fps) / _shoulders(keypoints)
        mouth = _mean(np.abs(np.diff(mouth_opening(keypoints)))) * fps / face
    loudness = np.nan
    if sound is not None:
        loudness = 20 * np.log10(max(FLOOR, float(np.sqrt(np.mean(np.square(sound, dtype=np.float64))))))
    return Facts(
        people=max(seen, faces, 0 if counted is None else int(counted.max(initial=0))),
        face_luma=_luma(frames, boxes),
        face_size=face / frames.shape[1],
        body_motion=float(body),
        mouth_motion=float(mouth),
        loudness=float(loudness),
    )


def _faces(frames: np.ndarray, keypoints: np.ndarray | None) -> tuple[np.ndarray, int]:
    """`(T, 4)` left, top, right, bottom of the main face, NaN where none was found, and the most faces seen in one frame."""
    boxes, most = np.full((len(frames), 4), np.nan), 0
    if keypoints is not None:
        for number, points in enumerate(keypoints[:, FACE]):
            seen = points[points[:, 2] >= CONFIDENT, :2]
            if len(seen) >= FACE_POINTS:
                boxes[number] = *seen.min(axis=0), *seen.max(axis=0)
    known = np.isfinite(boxes).any()
    for number in range(0, len(frames), LOOKED_AT_EVERY):
        found = find_faces(frames[number])
        most = max(most, count_people(found))
        if len(found) and not known:
            left, top, width, height = found[0]
            boxes[number] = left, top, left + width, top + height
    return boxes, most


def _luma(frames: np.ndarray, boxes: np.ndarray) -> float:
    """In [0, 1]."""
    height, width = frames.shape[1:3]
    means = []
    for image, box in zip(frames, boxes, strict=True):
        if not np.isfinite(box).all():
            continue
        left, top, right, bottom = np.clip(box.round().astype(int), 0, [width - 1, height - 1, width - 1, height - 1])
        means.append(float((image[top : bottom + 1, left : right + 1] @ LUMA).mean()) / 255)
    return float(np.mean(means)) if means else np.nan


def _speed(points: np.ndarray, fps: float) -> float:
    """Pixels per second over all `(T, N, 3)` points that are seen in two frames after one another."""
    seen = (points[1:, :, 2] >= CONFIDENT) & (points[:-1, :, 2] >= CONFIDENT)
    way = np.linalg.norm(np.diff(points[..., :2].astype(np.float64), axis=0), axis=-1)
    return float(way[seen].mean()) * fps if seen.any() else np.nan


def _shoulders(keypoints: np.ndarray) -> float:
    """Median width in pixels, NaN where both are never seen at once."""
    left, right = keypoints[:, LEFT_SHOULDER], keypoints[:, RIGHT_SHOULDER]
    seen = (left[:, 2] >= CONFIDENT) & (right[:, 2] >= CONFIDENT)
    width = float(np.median(np.linalg.norm((left - right)[seen, :2], axis=-1))) if seen.any() else 0.0
    return width if width > 0 else np.nan


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
