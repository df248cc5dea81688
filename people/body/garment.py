"""Clothes as meshes: the fitting garment of the base mesh, loosened, with its collar."""

from functools import cache

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from people.body.anatomy import anatomy
from people.body.part import Part
from people.identity import Garment, Identity
from people.looks.cloth import inside, neck_edge, pattern_uv
from people.raster import Material

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
AROUND = 40  # steps of a collar around the neck


@cache
def _neighbours() -> tuple[np.ndarray, csr_matrix]:
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
    used, mean = _neighbours()
    places = rest[used].astype(np.float64)
    for _ in range(SMOOTHING[garment.kind]):
        places = 0.5 * places + 0.5 * (mean @ places)
    off = ((rest[used] - places) * normals[used]).sum(axis=1)  # smoothing shrinks: never below the skin
    lift = LOOSE[garment.kind] + np.maximum(0, off)
    return used, (places + normals[used] * lift[:, None]).astype(np.float32)


@cache
def _fronts() -> np.ndarray:
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
    base, front = anatomy().base, _fronts()
    reach = inside(base, front, garment)
    return (reach > 0.10) & (base[:, 1] < 6.3)


def cloth_part(garment: Garment, material: Material) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Base vertices, `(n, 2)` texture places and triangles of the garment; triangles without cloth are left out."""
    a, front = anatomy(), _fronts()
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


@cache
def _neck_ring(neckline: str) -> tuple[np.ndarray, np.ndarray]:
    """Angles `(n,)` and places `(n, 3)` on the base mesh where the neckline runs around the neck."""
    a, front = anatomy(), _fronts()
    used, _ = _neighbours()
    triangles = a.surfaces["shirt"].source[a.surfaces["shirt"].triangles]
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1), axis=0
    )
    edges = edges[(np.abs(a.base[edges, 0]) < 1.2).all(axis=1) & (a.base[edges, 1] > 4.8).all(axis=1)]
    reach = neck_edge(a.base[:, 0], a.base[:, 1], front, neckline)
    one, two = reach[edges[:, 0]], reach[edges[:, 1]]
    crossing = one * two < 0
    share = (one / np.where(crossing, one - two, 1))[crossing, None]
    places = a.base[edges[crossing, 0]] * (1 - share) + a.base[edges[crossing, 1]] * share
    angle = np.arctan2(places[:, 0], places[:, 2] - 0.15)
    order = np.argsort(angle)
    angle, places = angle[order], places[order]
    grid = np.linspace(-np.pi, np.pi, AROUND + 1)
    around = [
        np.interp(grid, np.concatenate([angle - 2 * np.pi, angle, angle + 2 * np.pi]), np.tile(places[:, k], 3))
        for k in range(3)
    ]
    ring = np.stack(around, axis=1)
    kernel = np.array([0.25, 0.5, 0.25])
    for _ in range(3):
        ring[:-1] = sum(np.roll(ring[:-1], s, axis=0) * w for s, w in zip((-1, 0, 1), kernel, strict=True))
        ring[-1] = ring[0]
    return grid, ring


def collar_part(who: Identity, rest: np.ndarray, material: Material) -> Part | None:
    """What stands around the neck: a folded collar of shirts and suits, a roll of a turtleneck, a rib of sweaters; None of others."""
    garment = who.garment
    if garment.neckline == "collar":
        angle, ring = _neck_ring("collar")
        opening = np.clip((np.abs(angle) - 0.16) / 0.25, 0, 1)  # the two halves part in front
        out = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], axis=1)
        point = np.exp(-(((np.abs(angle) - 0.42) / 0.22) ** 2))
        rows = [
            (0.00, 0.03, 0),
            (0.20, 0.03, 0),
            (0.26, 0.06, 0),
            (0.22, 0.11, 0),
            (0.02, 0.20, 0.10),
            (-0.10, 0.24, 0.26),
        ]
        layers = [
            ring + out * off + np.array([0, 1.0, 0]) * (up - fall * (0.5 + 1.4 * point))[:, None]
            for up, off, fall in rows
        ]
        keep = opening > 0.02
    elif garment.kind in ("turtleneck", "sweater") and garment.neckline in ("high", "crew"):
        angle, ring = _neck_ring("high" if garment.neckline == "high" else "crew")
        out = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], axis=1)
        high = garment.neckline == "high"
        rows = (
            [(-0.42, 0.02), (-0.40, 0.10), (-0.2, 0.13), (0.0, 0.11), (0.03, 0.05), (-0.02, -0.02)]
            if high
            else [(-0.10, 0.04), (-0.05, 0.09), (0.03, 0.08), (0.06, 0.02), (0.0, -0.03)]
        )
        layers = [ring + out * off + np.array([0, up, 0]) for up, off in rows]
        keep = np.ones(len(angle), bool)
    else:
        return None
    a = anatomy()
    places = np.stack(layers).reshape(-1, 3)
    used = np.concatenate(
        [_neighbours()[0], np.unique(a.surfaces["skin"].source[a.base[a.surfaces["skin"].source, 1] > 5.2])]
    )
    used = used[(a.base[used, 1] > 4.6) & (np.abs(a.base[used, 0]) < 1.3)]
    away, near = cKDTree(a.base[used]).query(places, k=4)
    share = 1 / np.maximum(away, 0.02)
    share /= share.sum(axis=1, keepdims=True)
    shift = (share[..., None] * (rest[used] - a.base[used])[near]).sum(axis=1)
    follows = used[near[:, 0]]
    chest = a.bone_names.index("spine01")
    neck = a.bone_names.index("neck01")
    share_neck = np.full(len(places), 0.35)
    bones = np.tile(np.int32([chest, neck, 0, 0]), (len(places), 1))
    weights = np.stack([1 - share_neck, share_neck, 0 * share_neck, 0 * share_neck], axis=1).astype(np.float32)
    count, around = len(layers), len(angle)
    first = np.arange(count - 1)[:, None] * around + np.arange(around - 1)[None]
    kept = (keep[:-1] & keep[1:])[None] & np.ones((count - 1, 1), bool)
    quads = np.stack([first, first + 1, first + around + 1, first, first + around + 1, first + around], axis=-1)[
        kept
    ].reshape(-1, 3)
    moved = (places + shift).astype(np.float32)
    normal = np.zeros_like(moved)
    sides = np.cross(moved[quads[:, 1]] - moved[quads[:, 0]], moved[quads[:, 2]] - moved[quads[:, 0]])
    np.add.at(normal, quads.reshape(-1), np.repeat(sides, 3, axis=0))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    uv = pattern_uv(
        np.tile([[0.9, 3.0, 0.0]], (len(places), 1)) + 0.2 * places * [0.3, 0.3, 0], np.ones(len(places), bool)
    )
    return Part(
        material, moved, normal, None, bones, weights, np.full(len(follows), -1), uv, quads, np.ones(len(places))
    )
