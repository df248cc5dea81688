"""Camera against body: what moves with the whole picture, what moves against it, and whether the camera shakes."""

from dataclasses import dataclass

import cv2
import numpy as np

from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import CameraConfig

COLUMNS = ("camera_motion", "body_motion", "shakiness")
EDGE = 3  # pixels
FEWEST = 6  # tracked corners; fewer cannot tell four parameters from noise


@dataclass(frozen=True)
class GlobalMotion:
    """Between two neighbouring frames, in pixels: `camera` the mean length of the fitted global motion over the picture,
    `centre` `(2,)` what it does to the picture's centre, `body` the mean distance of tracked corners from it."""

    camera: float
    centre: np.ndarray
    body: float


def global_motion(before: np.ndarray, after: np.ndarray, corners: int, tolerance: float) -> GlobalMotion | None:
    """Corners are tracked (Lucas-Kanade; Shi and Tomasi, CVPR 1994) and a similarity is fitted by RANSAC.

    Args:
        before, after: `(H, W)` uint8.
        corners: tracked at most.
        tolerance: pixels within which a corner follows the global motion.

    Returns:
        None where too few corners can be tracked, as in a flat picture.
    """
    distance = max(3.0, np.sqrt(before.size / corners) / 2)
    points = cv2.goodFeaturesToTrack(before, corners, 0.01, distance)
    if points is None or len(points) < FEWEST:
        return None
    start = np.asarray(points, np.float32)
    tracked = cv2.calcOpticalFlowPyrLK(before, after, start, start.copy(), winSize=(15, 15), maxLevel=3)
    moved, status = np.asarray(tracked[0]), np.asarray(tracked[1])
    # A corner that leaves the picture is tracked to somewhere else.
    room = np.array(before.shape[::-1]) - EDGE
    kept = (status[:, 0] == 1) & ((moved[:, 0] >= EDGE) & (moved[:, 0] < room)).all(axis=1)
    source, target = start[kept, 0], moved[kept, 0]
    if len(source) < FEWEST:
        return None
    matrix, _ = cv2.estimateAffinePartial2D(source, target, method=cv2.RANSAC, ransacReprojThreshold=tolerance)
    if matrix is None:
        return None
    height, width = before.shape
    grid = np.stack(np.meshgrid([0, width / 2, width], [0, height / 2, height]), -1).reshape(-1, 2)
    shift = grid @ matrix[:, :2].T + matrix[:, 2] - grid
    residual = np.hypot(*(source @ matrix[:, :2].T + matrix[:, 2] - target).T)
    return GlobalMotion(float(np.hypot(*shift.T).mean()), shift[4], float(residual.mean()))


def measured_runs(frames: int, pairs: int, run: int) -> list[range]:
    """Runs of neighbouring pairs, evenly spaced: shaking shows in neighbours only, and all of them would be too many."""
    every = frames - 1
    if every <= pairs:
        return [range(every)]
    count = max(1, pairs // run)
    starts = np.linspace(0, every - run, count).round().astype(int)
    return [range(start, start + run) for start in starts]


def camera(grey: np.ndarray, config: CameraConfig) -> dict[str, float]:
    """The three columns for `(T, H, W)` uint8, in this picture's pixels.

    `shakiness` is the mean length of the change of the global motion from one pair of frames to the next: 0 for any
    camera that moves evenly, however fast.
    """
    motions, changes = [], []
    for run in measured_runs(len(grey), config.pairs, config.run):
        steps = [global_motion(grey[t], grey[t + 1], config.corners, config.tolerance) for t in run]
        motions += [motion for motion in steps if motion is not None]
        neighbours = zip(steps[:-1], steps[1:], strict=True)
        changes += [np.hypot(*(b.centre - a.centre)) for a, b in neighbours if a is not None and b is not None]
    if not motions:
        return dict.fromkeys(COLUMNS, float("nan"))
    return {
        "camera_motion": float(np.mean([motion.camera for motion in motions])),
        "body_motion": float(np.mean([motion.body for motion in motions])),
        "shakiness": float(np.mean(changes)) if changes else float("nan"),
    }


def score(material: Material, config: CameraConfig) -> Values:
    """The three columns in pixels of the bucket per frame."""
    values = camera(np.clip(material.luma, 0, 255).astype(np.uint8), config)
    return {name: value * material.working_scale for name, value in values.items()}


CAMERA = Score("camera", "lk-ransac-1", floats(*COLUMNS), ("frames",), score)
