"""Light: a key light with a shadow, a fill from the other side, a rim from behind, sky and floor."""

from dataclasses import dataclass

import numpy as np

from people.raster import Light
from people.scene.camera import View


@dataclass(frozen=True)
class Lighting:
    """Lights of the world: `(3,)` directions towards them of length 1, and linear colours."""

    key: np.ndarray
    key_rgb: np.ndarray
    fill: np.ndarray
    fill_rgb: np.ndarray
    rim: np.ndarray
    rim_rgb: np.ndarray
    sky: np.ndarray
    ground: np.ndarray

    def seen_by(self, view: View) -> Light:
        """The same lights in camera space."""

        def row(values: np.ndarray) -> tuple[float, float, float]:
            x, y, z = (float(v) for v in values)
            return x, y, z

        return Light(
            row(view.turn(self.key)), row(self.key_rgb), row(view.turn(self.fill)), row(self.fill_rgb), row(view.turn(self.rim)), row(self.rim_rgb),
            row(self.sky), row(self.ground),
        )  # fmt: skip


def draw_lighting(rng: np.random.Generator) -> Lighting:
    """Draw lights that a room or a street may have; faces are never in the dark."""

    def unit(x: float, y: float, z: float) -> np.ndarray:
        v = np.array([x, y, z])
        return v / np.sqrt((v * v).sum())

    side, warmth = float(rng.choice([-1, 1])), rng.uniform(-0.06, 0.12)
    warm, cool = np.array([1 + warmth, 1.0, 1 - warmth]), np.array([1 - 0.6 * warmth, 1.0, 1 + 0.6 * warmth])
    strength, soft = rng.uniform(0.70, 1.0), rng.uniform(0.8, 1.25)
    return Lighting(
        key=unit(side * rng.uniform(0.15, 0.8), rng.uniform(0.25, 0.7), rng.uniform(0.7, 1.0)),
        key_rgb=strength * warm,
        fill=unit(-side * rng.uniform(0.5, 1.0), rng.uniform(-0.1, 0.3), 0.7),
        fill_rgb=soft * rng.uniform(0.15, 0.30) * cool,
        rim=unit(-side * rng.uniform(0.4, 1.0), rng.uniform(0.3, 0.8), -0.8),
        rim_rgb=rng.uniform(0.0, 0.6) * cool,
        sky=soft * rng.uniform(0.28, 0.42) * cool,
        ground=soft * rng.uniform(0.10, 0.17) * warm,
    )
