"""Cards of strands: where they leave the skin, what they lie on, and the ribbons that are drawn along their paths."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from people.body.anatomy import anatomy
from people.body.part import Part
from people.looks.strands import VARIANTS
from people.raster import Material

# Of `(n, 3)` places on the base mesh, how many strands grow there, `(n,)`.
Density = Callable[[np.ndarray], np.ndarray]
LONGEST_REACH = 0.7  # decimetres from the skin beyond which a strand hangs freely


@dataclass(frozen=True)
class Ground:
    """What hair lies on: vertices and normals of skin and clothes, a tree over them, and the height of the chin."""

    vertices: np.ndarray
    normals: np.ndarray
    tree: cKDTree
    chin: float = 9e9


@dataclass(frozen=True)
class Roots:
    """Where strands leave: `(n, 3)` places and normals in the body, places on the base mesh, and the nearest base vertex."""

    places: np.ndarray
    normals: np.ndarray
    base: np.ndarray
    vertex: np.ndarray


def scatter(rng: np.random.Generator, count: int, rest: np.ndarray, normals: np.ndarray, density: Density) -> Roots:
    """Scatter roots over the skin by `density` of `(n, 3)` places on the base mesh, 0 where none grow."""
    a = anatomy()
    triangles = head_triangles()
    base = a.base[triangles]
    wanted = density(base.mean(axis=1))
    sides = np.cross(rest[triangles[:, 1]] - rest[triangles[:, 0]], rest[triangles[:, 2]] - rest[triangles[:, 0]])
    chances = np.sqrt((sides**2).sum(axis=1)) * wanted
    cumulated = np.cumsum(chances / chances.sum())
    chosen = np.searchsorted(cumulated, (np.arange(count) + rng.random(count)) / count).clip(0, len(triangles) - 1)
    u, v = rng.random((2, count))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    share = np.stack([1 - u - v, u, v], axis=1)[..., None]
    q = triangles[chosen]
    turned = (share * normals[q]).sum(axis=1)
    return Roots(
        (share * rest[q]).sum(axis=1),
        turned / np.linalg.norm(turned, axis=1, keepdims=True),
        (share * base[chosen]).sum(axis=1),
        q[:, 0],
    )


def head_triangles() -> np.ndarray:
    skin = anatomy().surfaces["skin"]
    triangles = skin.source[skin.triangles]
    return triangles[
        (anatomy().base[triangles, 1] > 5.9).all(axis=1) & (np.abs(anatomy().base[triangles, 0]) < 0.78).all(axis=1)
    ]


def pushed(place: np.ndarray, ground: Ground, off: np.ndarray | float, clings: bool = False) -> np.ndarray:
    """Places lifted to at least `off` above the ground where they are near it, and drawn down to it on the head if hair `clings`."""
    away, nearest = ground.tree.query(place)
    normal = ground.normals[nearest]
    height = ((place - ground.vertices[nearest]) * normal).sum(axis=1)
    lift = np.maximum(0, off - height)
    if clings:
        on_head = ground.vertices[nearest, 1] > ground.chin + 0.25
        lift = lift + np.where(on_head, 0.7 * np.minimum(0, off + 0.03 - height), 0)
    return place + normal * (lift * (away < LONGEST_REACH))[:, None]


def cards(
    rng: np.random.Generator,
    paths: np.ndarray,
    ground: Ground,
    material: Material,
    layer: np.ndarray,
    width: float,
    tight: bool = False,
) -> Part:
    """Ribbons along paths, flat to the ground, two vertices a step.

    Args:
        paths: `(n, k, 3)` from root to tip.
        layer: `(n,)` in [0, 1], from the innermost to the outermost strand, which is the lightest.
        width: decimetres at the root's side.
        tight: whether they are curls, which lie less flat.
    """
    count, steps = paths.shape[:2]
    tangent = np.gradient(paths, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=2, keepdims=True), 1e-6)
    _, nearest = ground.tree.query(paths.reshape(-1, 3))
    normal = ground.normals[nearest].reshape(count, steps, 3)
    normal = normal + 0.3 * rng.normal(0, 1, (count, 1, 3)) * (0.35 if tight else 0.2)
    across = np.cross(tangent, normal)
    across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-6)
    normal = np.cross(across, tangent) * 0.6 + 0.4 * normal / np.linalg.norm(normal, axis=2, keepdims=True)
    t = np.linspace(0, 1, steps)
    taper = np.interp(t, [0, 0.3, 0.8, 1], [0.8, 1.0, 0.85, 0.45])
    half = 0.5 * width * rng.uniform(0.7, 1.3, (count, 1)) * taper[None]
    rest = np.stack([paths - across * half[..., None], paths + across * half[..., None]], axis=2)
    variant = rng.integers(0, VARIANTS, (count, 1)) / VARIANTS
    low, high = (np.broadcast_to(variant + e, (count, steps)) for e in (0.02 / VARIANTS, 0.98 / VARIANTS))
    uv = np.stack(
        [
            np.stack([low, np.broadcast_to(t, (count, steps))], -1),
            np.stack([high, np.broadcast_to(t, (count, steps))], -1),
        ],
        axis=2,
    )
    outermost_first = np.argsort(-layer, kind="stable")  # what lies below is then hidden before it is looked at
    first = (outermost_first[:, None] * steps + np.arange(steps - 1)[None]) * 2
    quads = np.stack([first, first + 1, first + 3, first, first + 3, first + 2], axis=-1).reshape(-1, 3)
    shade = (
        (0.62 + 0.38 * layer)[:, None]
        * np.interp(t, [0, 0.5, 1], [0.72, 1.0, 1.0])[None]
        * rng.uniform(0.82, 1.12, (count, 1))
    )
    bones, weights = _hanging(rest.reshape(-1, 3))
    twice = [np.repeat(x[:, :, None], 2, axis=2).reshape(-1, *x.shape[2:]) for x in (normal, tangent, shade)]
    return Part(
        material,
        rest.reshape(-1, 3),
        twice[0],
        twice[1],
        bones,
        weights,
        np.full(len(bones), -1),
        uv.reshape(-1, 2),
        quads,
        twice[2],
    )


def _hanging(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bones and weights: the head's, and lower down more and more the chest's."""
    a = anatomy()
    head, chest = a.bone_names.index("head"), a.bone_names.index("spine01")
    low = np.clip((places[:, 1] - _neck_height(places)) / -0.9, 0, 0.8)
    bones = np.tile(np.array([head, chest, 0, 0], np.int32), (len(places), 1))
    return bones, np.stack([1 - low, low, 0 * low, 0 * low], axis=1).astype(np.float32)


def _neck_height(places: np.ndarray) -> float:
    return float(places[:, 1].max()) - 2.1
