"""Cameras: how much of a person a picture holds, and the small movements of a hand that holds it."""

from dataclasses import dataclass

import numpy as np

from people.raster import Camera

DISTANCE = 14.0  # decimetres from the face


@dataclass(frozen=True)
class Framing:
    """How much a picture holds, in decimetres at the face: its height, and how far its middle lies below the eyes."""

    height: float
    below: float
    hands: bool


FRAMINGS = {
    "close": Framing(3.3, 0.30, False),
    "portrait": Framing(4.7, 0.85, False),
    "half": Framing(6.4, 1.75, True),
    "upper": Framing(8.6, 2.75, True),
}
DEFAULT_FRAMINGS = ("close", "portrait")


@dataclass(frozen=True)
class View:
    """A camera in the world: where it stands, `(3, 3)` rows of its axes (right, up, backwards), and its lens."""

    eye: np.ndarray
    axes: np.ndarray
    lens: Camera

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """`(..., 3)` points of the world in camera space, by sums in a fixed order."""
        away = points - self.eye.astype(points.dtype)
        axes = self.axes.astype(points.dtype)
        return np.stack(
            [axes[k, 0] * away[..., 0] + axes[k, 1] * away[..., 1] + axes[k, 2] * away[..., 2] for k in range(3)],
            axis=-1,
        )

    def placed(self, root: np.ndarray) -> np.ndarray:
        """`(3, 4)` placement of a body in the world, in camera space instead."""
        return np.column_stack([self.axes @ root[:, :3], self.axes @ (root[:, 3] - self.eye)])

    def turn(self, directions: np.ndarray) -> np.ndarray:
        """`(..., 3)` directions of the world in camera space."""
        axes = self.axes.astype(directions.dtype)
        return np.stack(
            [
                axes[k, 0] * directions[..., 0] + axes[k, 1] * directions[..., 1] + axes[k, 2] * directions[..., 2]
                for k in range(3)
            ],
            axis=-1,
        )


def look_at(eye: np.ndarray, target: np.ndarray, height: float, size: int) -> View:
    """A camera at `eye` whose picture is `height` decimetres high where `target` is."""
    back = eye - target
    distance = float(np.sqrt((back * back).sum()))
    back = back / distance
    right = np.cross([0.0, 1.0, 0.0], back)
    right /= np.sqrt((right * right).sum())
    middle = (size - 1) / 2
    return View(
        eye,
        np.stack([right, np.cross(back, right), back]),
        Camera(distance / height * size, (middle, middle), size, size),
    )
