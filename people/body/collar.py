"""What stands around the neck: folded collars, rolls and ribs."""

from functools import cache

import numpy as np
from scipy.spatial import cKDTree

from people.body.anatomy import anatomy
from people.body.garment import fronts, neighbours
from people.body.part import Part
from people.identity import Identity
from people.looks.cloth import neck_edge
from people.raster import Material

AROUND = 40  # steps around the neck
# Rows of a collar from the inside out: decimetres above the neckline, outwards, and how much farther down its points reach.
FOLDED = (
    (-0.04, 0.03, 0.0),
    (0.10, 0.025, 0.0),
    (0.15, 0.045, 0.0),
    (0.12, 0.10, 0.0),
    (-0.04, 0.20, 0.04),
    (-0.17, 0.27, 0.15),
)
ROLLED = ((-0.42, 0.02), (-0.40, 0.10), (-0.20, 0.13), (0.0, 0.11), (0.03, 0.05), (-0.02, -0.02))
RIBBED = ((-0.10, 0.04), (-0.05, 0.09), (0.03, 0.08), (0.06, 0.02), (0.0, -0.03))
WITH_THE_NECK = 0.35  # how far a collar turns with it


@cache
def _neck_ring(neckline: str) -> tuple[np.ndarray, np.ndarray]:
    """Angles `(n,)` and places `(n, 3)` on the base mesh where the neckline runs around the neck."""
    a, front = anatomy(), fronts()
    used, _ = neighbours()
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
    """A folded collar of shirts and suits, a turtleneck's roll, a sweater's rib; None of what has neither."""
    garment = who.garment
    if garment.neckline == "collar":
        return _around_neck(rest, material, *_folded())
    if garment.kind == "turtleneck":
        return _around_neck(rest, material, *_banded("high", ROLLED))
    if garment.kind == "sweater" and garment.neckline == "crew":
        return _around_neck(rest, material, *_banded("crew", RIBBED))
    return None


@cache
def _folded() -> tuple[np.ndarray, np.ndarray]:
    """`(rows, n, 3)` places on the base mesh, and `(n,)` whether cloth is there: the two halves part in front."""
    angle, ring = _neck_ring("collar")
    out = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], axis=1)
    point = np.exp(-(((np.abs(angle) - 0.42) / 0.22) ** 2))
    falls = [up - fall * (0.5 + 1.4 * point) for up, _, fall in FOLDED]
    rows = [
        ring + out * off + np.array([0, 1.0, 0]) * fall[:, None]
        for fall, (_, off, _) in zip(falls, FOLDED, strict=True)
    ]
    return np.stack(rows), np.abs(angle) > 0.165


@cache
def _banded(neckline: str, profile: tuple[tuple[float, float], ...]) -> tuple[np.ndarray, np.ndarray]:
    """The same of a closed band."""
    angle, ring = _neck_ring(neckline)
    out = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], axis=1)
    return np.stack([ring + out * off + np.array([0, up, 0]) for up, off in profile]), np.ones(len(angle), bool)


def _around_neck(rest: np.ndarray, material: Material, rows: np.ndarray, keep: np.ndarray) -> Part:
    """The part of `(rows, n, 3)` places on the base mesh, moved as the body's shape moves what is near."""
    a = anatomy()
    count, around = rows.shape[:2]
    places = rows.reshape(-1, 3)
    skin = a.surfaces["skin"].source
    used = np.concatenate([neighbours()[0], np.unique(skin[a.base[skin, 1] > 5.2])])
    used = used[(a.base[used, 1] > 4.6) & (np.abs(a.base[used, 0]) < 1.3)]
    away, near = cKDTree(a.base[used]).query(places, k=4)
    share = 1 / np.maximum(away, 0.02)
    share /= share.sum(axis=1, keepdims=True)
    moved = (places + (share[..., None] * (rest[used] - a.base[used])[near]).sum(axis=1)).astype(np.float32)
    first = np.arange(count - 1)[:, None] * around + np.arange(around - 1)[None]
    first = first[:, keep[:-1] & keep[1:]]
    corners = [first, first + 1, first + around + 1, first, first + around + 1, first + around]
    quads = np.stack(corners, axis=-1).reshape(-1, 3)
    normal = np.zeros_like(moved)
    sides = np.cross(moved[quads[:, 1]] - moved[quads[:, 0]], moved[quads[:, 2]] - moved[quads[:, 0]])
    np.add.at(normal, quads.reshape(-1), np.repeat(sides, 3, axis=0))
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    bones = np.array([a.bone_names.index("spine01"), a.bone_names.index("neck01"), 0, 0], np.int32)
    weights = np.array([1 - WITH_THE_NECK, WITH_THE_NECK, 0, 0], np.float32)
    n = len(places)
    return Part(
        material,
        moved,
        normal,
        None,
        np.tile(bones, (n, 1)),
        np.tile(weights, (n, 1)),
        np.full(n, -1),
        np.full((n, 2), 0.5),
        quads,
        np.ones(n),
    )
