"""Glasses: frames of thin tubes before the eyes, carried by the head."""

import numpy as np

from people.body.anatomy import anatomy
from people.body.part import Part
from people.raster import Material

THICKNESS = {"thin": 0.011, "dark": 0.024, "round": 0.014}


def glasses_part(shape: str, rest: np.ndarray, material: Material) -> Part:
    """Rims, bridge and temples for a face at rest."""
    a = anatomy()
    points = rest[a.face_points]
    right, left = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    middle, gap = (left + right) / 2, float(left[0] - right[0])
    ahead = max(points[36:48, 2].max() + 0.10, points[27, 2] + 0.03)
    radius = THICKNESS[shape]
    turn = np.linspace(0, 2 * np.pi, 29)
    power = 2 / (2.0 if shape == "round" else 3.6)
    half = (0.36 * gap, 0.34 * gap) if shape == "round" else (0.41 * gap, 0.29 * gap)
    tubes = []
    for sign in (-1, 1):
        x, y = (np.sign(f(turn)) * np.abs(f(turn)) ** power for f in (np.cos, np.sin))
        centre = np.array([middle[0] + sign * 0.5 * gap * 1.02, middle[1] - 0.02, ahead])
        ring = centre + np.stack([half[0] * x, half[1] * y, -0.10 * (sign * x + 1) ** 2 * 0.4], axis=1)
        tubes.append(ring)
        outer = ring[np.argmax(sign * ring[:, 0])]
        ear = rest[a.body_points[3 if sign > 0 else 4]].mean(axis=0)
        hinge = outer + [0, 0.06, 0]
        tubes.append(
            np.stack(
                [
                    outer,
                    hinge + [sign * 0.04, 0, -0.05],
                    [ear[0] + sign * 0.02, ear[1] + 0.16, ear[2] + 0.15],
                    ear + [sign * 0.02, 0.10, -0.05],
                ]
            )
        )
    inner = 0.5 * gap * 1.02 - half[0]
    arch = np.linspace(-1, 1, 7)
    tubes.append(
        np.stack(
            [middle[0] + inner * arch, middle[1] + 0.04 + 0.03 * (1 - arch**2), ahead - 0.04 + 0.03 * (1 - arch**2)],
            axis=1,
        )
    )
    return _tubes(tubes, radius, material)


def _tubes(lines: list[np.ndarray], radius: float, material: Material, sides: int = 5) -> Part:
    places, normals, triangles, at = [], [], [], 0
    around = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    for line in lines:
        tangent = np.gradient(line, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
        first = np.cross(tangent, [0.1, 0.3, 0.95])
        first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-6)
        second = np.cross(tangent, first)
        normal = first[:, None] * np.cos(around)[None, :, None] + second[:, None] * np.sin(around)[None, :, None]
        places.append((line[:, None] + radius * normal).reshape(-1, 3))
        normals.append(normal.reshape(-1, 3))
        k, s = np.meshgrid(np.arange(len(line) - 1), np.arange(sides), indexing="ij")
        a, b = at + k * sides + s, at + k * sides + (s + 1) % sides
        triangles.append(np.stack([a, b, b + sides, a, b + sides, a + sides], axis=-1).reshape(-1, 3))
        at += len(line) * sides
    rest, count = np.concatenate(places), at
    bones = np.tile(np.array([anatomy().bone_names.index("head"), 0, 0, 0], np.int32), (count, 1))
    weights = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
    return Part(
        material,
        rest,
        np.concatenate(normals),
        None,
        bones,
        weights,
        np.full(count, -1),
        np.full((count, 2), 0.5),
        np.concatenate(triangles),
        np.ones(count),
    )
