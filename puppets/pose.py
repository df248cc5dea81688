"""Where a puppet's arms are: smooth random joint angles that keep every disc in the picture and off the face."""

import numpy as np

SHOULDERS = np.array([[22.0, 43.0], [42.0, 43.0]])
UPPER_ARM = FOREARM = 9.0


def draw_pose(rng: np.random.Generator, frames: int, fps: float) -> np.ndarray:
    """`(frames, 4, 2)` joint positions (x, y) in pixels of the 64-pixel canvas, in the order left elbow, left wrist, right elbow, right wrist."""
    joints = np.empty((frames, 4, 2))
    for arm, side in enumerate((-1.0, 1.0)):
        upper = np.radians(_smooth(rng, frames, fps, 10.0, 80.0))
        fore = np.radians(_smooth(rng, frames, fps, -40.0, 160.0))
        elbow = SHOULDERS[arm] + UPPER_ARM * np.stack([side * np.sin(upper), np.cos(upper)], -1)
        wrist = elbow + FOREARM * np.stack([side * np.sin(fore), np.cos(fore)], -1)
        joints[:, 2 * arm], joints[:, 2 * arm + 1] = elbow, wrist
    return joints


def _smooth(rng: np.random.Generator, frames: int, fps: float, low: float, high: float) -> np.ndarray:
    time = np.arange(frames) / fps
    waves = sum(
        rng.uniform(0.3, 1.0) * np.sin(2 * np.pi * rng.uniform(0.2, 1.1) * time + rng.uniform(0, 2 * np.pi))
        for _ in range(3)
    )
    return low + (high - low) * (0.5 + 0.5 * np.tanh(waves + rng.uniform(-0.8, 0.8)))
