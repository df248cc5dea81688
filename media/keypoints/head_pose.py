"""Head pose from the 68 face points: the rotation of a rigid head that explains where six of them are seen."""

import cv2
import numpy as np

FACE = slice(23, 91)  # the 68 points among the 133 of COCO-WholeBody
# iBUG points: nose tip, chin, outer corners of the right and left eye, corners of the mouth.
POINTS = (30, 8, 36, 45, 48, 54)
# The same six on an average adult head in millimetres, nose tip at the origin, x to the picture's right, y down, z away
# from the camera. Rounded anthropometric means; angles, not sizes, are read from it.
HEAD = np.array(
    [[0, 0, 0], [0, 66, 13], [-44, -33, 27], [44, -33, 27], [-29, 29, 24], [29, 29, 24]], np.float64
)  # fmt: skip


def camera_matrix(height: int, width: int) -> np.ndarray:
    """A camera with a focal length of the picture's longer side (about 53 degrees), which is what nobody told us."""
    focal = max(height, width)
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float64)


def head_angles(keypoints: np.ndarray, height: int, width: int, confident: float) -> np.ndarray:
    """Yaw, pitch and roll in degrees per frame, `(T, 3)`; NaN where one of the six points is not seen.

    Yaw is positive towards the picture's right, pitch upwards, roll clockwise as seen (Perspective-n-Point, OpenCV).

    Args:
        keypoints: `(T, 133, 3)`.
        height, width: the picture's, in pixels.
        confident: points below are not seen.
    """
    points = keypoints[:, FACE][:, POINTS]
    matrix = camera_matrix(height, width)
    return np.array([_of_frame(frame, matrix, confident) for frame in points]).reshape(-1, 3)


def _of_frame(points: np.ndarray, matrix: np.ndarray, confident: float) -> np.ndarray:
    unseen = np.full(3, np.nan)
    if points[:, 2].min() <= confident:
        return unseen
    image = points[:, :2].astype(np.float64)
    # EPnP starts it: from a cold start the iteration may end behind the camera.
    done, rotation, shift = cv2.solvePnP(HEAD, image, matrix, None, flags=cv2.SOLVEPNP_EPNP)
    if not done:
        return unseen
    rotation, shift = cv2.solvePnPRefineLM(HEAD, image, matrix, None, rotation, shift)
    turned, _ = cv2.Rodrigues(rotation)
    return angles_of(turned)


def angles_of(rotation: np.ndarray) -> np.ndarray:
    """Yaw, pitch, roll in degrees of a `(3, 3)` rotation; the inverse of `rotation_of`."""
    yaw = np.arcsin(np.clip(-rotation[0, 2], -1, 1))
    pitch = np.arctan2(rotation[1, 2], rotation[2, 2])
    roll = np.arctan2(rotation[0, 1], rotation[0, 0])
    return np.degrees([yaw, pitch, -roll])


def rotation_of(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """`(3, 3)` rotation of a head in camera axes, from degrees."""
    y, p, r = np.radians([yaw, pitch, -roll])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), np.sin(p)], [0, -np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(r), np.sin(r), 0], [-np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return about_x @ about_y @ about_z


def angle_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Degrees of the one turn that brings one pose to another, of `(T, 3)` yaw, pitch, roll each: `(T,)`, NaN where either is."""
    between = [rotation_of(*a).T @ rotation_of(*b) for a, b in zip(first, second, strict=True)]
    return np.degrees([np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)) for turn in between])
