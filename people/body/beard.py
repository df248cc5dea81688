"""Beards: short cards of strands over the jaw that move with the skin below them."""

import zlib

import numpy as np
from scipy.spatial import cKDTree

from people.body.anatomy import anatomy
from people.body.part import Part
from people.body.strand_cards import Ground, cards, scatter
from people.identity import Identity
from people.looks.scalp import beard
from people.raster import Material


def beard_part(who: Identity, rest: np.ndarray, normals: np.ndarray, material: Material) -> Part | None:
    """Short cards over the jaw that move with the skin below them, or None where none grow."""
    lengths = {"short": 0.09, "full": 0.17, "goatee": 0.13, "moustache": 0.10}
    if who.beard not in lengths:
        return None
    rng = np.random.default_rng([who.seed, zlib.crc32(b"beard")])
    a = anatomy()
    lips = a.masks["lips"]
    skin = a.surfaces["skin"]
    pixel = np.clip((skin.uv * len(lips)).astype(int), 0, len(lips) - 1)
    lip = np.zeros(len(a.base))
    lip[skin.source] = lips[pixel[:, 1], pixel[:, 0]]
    near_lips = cKDTree(a.base[lip > 0.5])

    def density(places: np.ndarray) -> np.ndarray:
        inside = beard(places, who.beard) > 0.9  # edges are painted on the skin: single hairs would be specks
        return inside * (near_lips.query(places)[0] > 0.05)

    roots = scatter(
        rng, {"short": 800, "full": 900, "goatee": 420, "moustache": 260}[who.beard], rest, normals, density
    )
    count = len(roots.places)
    length = lengths[who.beard] * rng.uniform(0.7, 1.3, count)
    over_lips = (roots.base[:, 1] > 6.6) & (np.abs(roots.base[:, 0]) < 0.36)
    length = np.where(
        over_lips, np.minimum(length, 0.8 * near_lips.query(roots.base)[0]), length
    )  # the mouth stays free
    outward = np.stack(
        [
            0.35 * np.sign(roots.base[:, 0]) * (np.abs(roots.base[:, 0]) > 0.05),
            np.full(count, -1.0),
            np.full(count, 0.1),
        ],
        axis=1,
    )
    direction = roots.normals * 0.3 + outward + rng.normal(0, 0.15, (count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    t = np.linspace(0, 1, 3)
    paths = (
        roots.places[:, None]
        + direction[:, None] * (t[None] * length[:, None])[..., None]
        + roots.normals[:, None] * 0.012
    )
    on_skin = Ground(roots.places, roots.normals, cKDTree(roots.places))
    part = cards(rng, paths, on_skin, material, 0.7 + 0.3 * rng.random(count), 0.055)
    follows = np.repeat(roots.vertex, 6)
    return Part(
        material, part.rest, part.normal, part.tangent, a.bones[follows], a.weights[follows], follows, part.uv, part.triangles, np.clip(1.15 * part.shade, 0, 1),
    )  # fmt: skip
