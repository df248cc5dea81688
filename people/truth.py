"""What is true of a frame: 133 keypoints, how far the mouth is open, how the head is turned."""

import numpy as np

from people.body.anatomy import FACE, HANDS, anatomy
from people.body.body import Body, Moment
from people.body.rig import angles_of
from people.raster import Camera, Picture

KEYPOINTS = 133
INNER_LIPS = (62, 66)  # of the 68 face points: the middles of the upper and of the lower inner edge
EYE_CORNERS = (36, 45)
SEEN, COVERED, OUTSIDE = 1.0, 0.5, 0.0
# How far behind what is drawn a point may lie and still count as seen, decimetres: joints lie inside limbs, face points on the skin.
DEEP = np.full(KEYPOINTS, 0.9)
DEEP[FACE] = 0.10
DEEP[[0, 1, 2, 3, 4]] = (0.10, 0.30, 0.30, 0.25, 0.25)
DEEP[91:] = 0.25


def points_of(body: Body, moment: Moment) -> np.ndarray:
    """`(133, 3)` COCO-WholeBody points in camera space: body and feet, face, left hand, right hand."""
    a = anatomy()
    points = np.empty((KEYPOINTS, 3))
    points[:23] = moment.base[body.number[a.body_points]].mean(axis=1)
    points[FACE] = moment.base[body.number[a.face_points]]
    for side in ("L", "R"):
        points[HANDS[side]] = body.rig.hand_points(moment.bones, side)
    return points


def keypoints_of(points: np.ndarray, lens: Camera, picture: Picture) -> np.ndarray:
    """`(133, 3)` float32 of points in camera space: x, y in pixels and visibility: 1 seen, 0.5 in the picture but covered, 0 outside it."""
    at = lens.project(points)
    width, height = lens.width, lens.height
    samples = picture.nearness.shape[0] // height
    column, row = np.round(at[:, 0]).astype(int), np.round(at[:, 1]).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    depth = 1 / at[:, 2]
    x, y = np.clip(column, 0, width - 1) * samples, np.clip(row, 0, height - 1) * samples
    of_pixel = [picture.nearness[y + j, x + i] for j in range(samples) for i in range(samples)]
    shown = np.where(inside, np.minimum.reduce(of_pixel), 0)  # the farthest that the pixel shows
    covered = shown * (depth - DEEP) > 1  # what is drawn is nearer than the point by more than it may be
    visibility = np.where(inside, np.where(covered, COVERED, SEEN), OUTSIDE)
    return np.column_stack([at[:, :2], visibility]).astype(np.float32)


def opening_of(body: Body, moment: Moment, points: np.ndarray) -> float:
    """How far the lips stand apart beyond where they touch at rest, over the distance of the eyes' outer corners: 0 shut, 0.4 wide open.

    Measured in space, along the head's own upright, between the middles of the inner edges.
    """
    face = points[FACE]
    upright = moment.bones[body.rig.index["head"], :, 1].astype(np.float64)
    gap = float((face[INNER_LIPS[0]] - face[INNER_LIPS[1]]) @ upright) - body.shut_gap
    return max(0.0, gap) / float(np.linalg.norm(face[EYE_CORNERS[0]] - face[EYE_CORNERS[1]]))


def head_pose(body: Body, moment: Moment) -> np.ndarray:
    """`(3,)` yaw, pitch, roll in degrees against the camera; to the person's left, down, and to the person's right shoulder are positive."""
    return np.degrees(angles_of(moment.bones[body.rig.index["head"], :, :3].astype(np.float64)))
