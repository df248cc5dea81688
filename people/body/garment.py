"""Clothes as meshes: the fitting garment of the base mesh, loosened."""

from functools import cache

import numpy as np
from scipy.sparse import csr_matrix

from people.body.anatomy import anatomy
from people.identity import Garment
from people.looks.cloth import inside, pattern_uv

LOOSE = {
    "T-shirt": 0.05,
    "shirt": 0.07,
    "sweater": 0.10,
    "turtleneck": 0.05,
    "suit": 0.12,
    "blouse": 0.05,
    "tank top": 0.03,
    "polo shirt": 0.06,
}
SMOOTHING = {
    "T-shirt": 4,
    "shirt": 6,
    "sweater": 8,
    "turtleneck": 4,
    "suit": 10,
    "blouse": 4,
    "tank top": 2,
    "polo shirt": 5,
}


@cache
def neighbours() -> tuple[np.ndarray, csr_matrix]:
    """Vertices of the garment, and the matrix that takes each to the mean of its neighbours."""
    shirt = anatomy().surfaces["shirt"]
    triangles = shirt.source[shirt.triangles]
    used, local = np.unique(triangles, return_inverse=True)
    local = local.reshape(-1, 3)
    rows, columns = (
        np.concatenate([local[:, [0, 1, 2]].ravel(), local[:, [1, 2, 0]].ravel()]),
        np.concatenate([local[:, [1, 2, 0]].ravel(), local[:, [0, 1, 2]].ravel()]),
    )
    links = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(used), len(used)))
    links.data[:] = 1
    return used, csr_matrix(links.multiply(1 / links.sum(axis=1)))


def loosened(rest: np.ndarray, normals: np.ndarray, garment: Garment) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the garment and `(n, 3)` where they lie: smoothed, so that no muscle shows, and off the skin."""
    used, mean = neighbours()
    places = rest[used].astype(np.float64)
    for _ in range(SMOOTHING[garment.kind]):
        places = 0.5 * places + 0.5 * (mean @ places)
    off = ((rest[used] - places) * normals[used]).sum(axis=1)  # smoothing shrinks: never below the skin
    lift = LOOSE[garment.kind] + np.maximum(0, off)
    return used, (places + normals[used] * lift[:, None]).astype(np.float32)


@cache
def fronts() -> np.ndarray:
    """Whether each vertex of the base mesh lies on the front half of its limb or torso, as normals of the base mesh say."""
    a = anatomy()
    normals = np.zeros_like(a.base)
    for name in ("skin", "shirt"):
        triangles = a.surfaces[name].source[a.surfaces[name].triangles]
        sides = np.cross(
            a.base[triangles[:, 1]] - a.base[triangles[:, 0]], a.base[triangles[:, 2]] - a.base[triangles[:, 0]]
        )
        np.add.at(normals, triangles.reshape(-1), np.repeat(sides, 3, axis=0))
    return normals[:, 2] > 0


def covered(garment: Garment) -> np.ndarray:
    """`(V,)` whether each base vertex lies under the garment, a little inside its edges."""
    base, front = anatomy().base, fronts()
    reach = inside(base, front, garment)
    return (reach > 0.10) & (base[:, 1] < 6.3)


def cloth_surface(garment: Garment) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base vertices, `(n, 2)` texture places and triangles of the garment; triangles without cloth are left out."""
    a, front = anatomy(), fronts()
    shirt = a.surfaces["shirt"]
    triangles = shirt.source[shirt.triangles]
    reach = inside(a.base, front, garment)
    triangles = triangles[(reach[triangles] > -0.45).any(axis=1)]
    # A triangle lies on one of the two flat halves, by most of its corners.
    ahead = front[triangles].sum(axis=1) >= 2
    pairs, inverse = np.unique(
        np.stack([triangles, np.broadcast_to(ahead[:, None], triangles.shape)], axis=-1).reshape(-1, 2),
        axis=0,
        return_inverse=True,
    )
    return pairs[:, 0], pattern_uv(a.base[pairs[:, 0]], pairs[:, 1].astype(bool)), inverse.reshape(-1, 3)
