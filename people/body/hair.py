"""Hair: strands that grow from the scalp along a comb's direction, lie on the head and the shoulders, and are cut."""

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from people.body.anatomy import anatomy
from people.body.part import Part
from people.body.strand_cards import Density, Ground, Roots, cards, head_triangles, pushed, scatter
from people.body.styles import STYLES, Style
from people.identity import Identity
from people.looks.scalp import HEAD_CENTRE, above_hairline, azimuth
from people.raster import Material

BUN, TIE = np.array([0.0, 7.95, -0.42]), np.array([0.0, 7.55, -0.52])


@dataclass(frozen=True)
class Head:
    """What strands grow on: a person's head at rest, and how it differs from the base mesh's.

    Attributes:
        who, style: whose hair, and which.
        rest, normals: `(V, 3)` of the base mesh's vertices.
        ground: what strands lie on.
        moved, scale: of the face against the base mesh's: decimetres, and a factor.
    """

    who: Identity
    style: Style
    rest: np.ndarray
    normals: np.ndarray
    ground: Ground
    moved: np.ndarray
    scale: float


def _on_scalp(style: str) -> Density:
    def density(places: np.ndarray) -> np.ndarray:
        return (above_hairline(places, style == "receding") > 0.01).astype(float) * (places[..., 1] > 6.45)

    return density


def hair_parts(
    who: Identity, rest: np.ndarray, normals: np.ndarray, ground: Ground, strands: Material, scalp: Material, fine: bool
) -> list[Part]:
    """All hair of the head, from `(V, 3)` rest vertices and normals of the base mesh; `fine` for pictures above 160 px."""
    if who.style == "bald":
        return []
    style = STYLES[who.style] if fine else STYLES[who.style].coarser()
    rng = np.random.default_rng([who.seed, zlib.crc32(b"hair")])
    parts = [_under_layer(who, style, rest, normals, scalp)]
    if not style.strands:
        return parts
    face, base = rest[anatomy().face_points], anatomy().base[anatomy().face_points]
    scale = float(np.ptp(face[:, 1]) / np.ptp(base[:, 1]))
    head = Head(who, style, rest, normals, ground, face.mean(axis=0) - base.mean(axis=0), scale)
    roots = scatter(rng, style.strands, rest, normals, _on_scalp(who.style))
    layer = rng.random(len(roots.base))
    paths = _cloud(rng, head, roots, layer) if style.comb == "out" else _grow(rng, head, roots, layer)
    parts.append(cards(rng, paths, ground, strands, layer, style.width, style.curls))
    if style.fringe:
        parts.append(_fringe(rng, head, strands))
    if style.comb == "gather":
        parts.append(_bun(rng, head, strands) if who.style == "bun" else _tail(rng, head, strands))
    return parts


def _under_layer(who: Identity, style: Style, rest: np.ndarray, normals: np.ndarray, material: Material) -> Part:
    a = anatomy()
    triangles = head_triangles()
    above = above_hairline(a.base, who.style == "receding")
    triangles = triangles[(above[triangles] > -0.06).all(axis=1) & (a.base[triangles, 1] > 6.4).all(axis=1)]
    used, inverse = np.unique(triangles, return_inverse=True)
    lift = style.under * np.clip(above[used] / 0.18, 0.1, 1)
    if style.under > 0.1:
        lift = style.under * np.clip(above[used] / 0.6, 0.05, 1)
    uv = np.stack([azimuth(a.base[used]) / 180 * 0.98 + 0.01, np.clip(above[used] / 0.8 + 0.02, 0.01, 0.99)], axis=1)
    return Part(
        material, rest[used] + normals[used] * lift[:, None], normals[used], _downward(normals[used]), a.bones[used], a.weights[used], used,
        uv, inverse.reshape(-1, 3), np.full(len(used), 0.75),
    )  # fmt: skip


def _downward(normals: np.ndarray) -> np.ndarray:
    """Unit directions along a surface, down where it is upright."""
    down = np.array([0.0, -1.0, -0.35]) - normals * (normals @ np.array([0.0, -1.0, -0.35]))[:, None]
    return down / np.maximum(np.linalg.norm(down, axis=1, keepdims=True), 1e-6)


def _wanted(style: Style, at: np.ndarray, side: np.ndarray, tie: np.ndarray, progress: float) -> np.ndarray:
    """`(n, 3)` directions of the comb at places of the base mesh."""
    phi = np.radians(azimuth(at))
    around = np.stack([side * np.cos(phi), np.zeros(len(at)), -np.sin(phi)], axis=1)
    if style.comb == "down":
        swept = np.clip((np.radians(84) - phi) / np.radians(45), 0, 1) * (at[:, 1] > 6.6)
        if progress < 0.35:
            swept = np.maximum(swept, 0.35 * (at[:, 1] > 8.1))
        return 1.3 * swept[:, None] * around + np.array([0, -1.0, 0]) * (0.30 + 0.70 * (1 - swept))[:, None]
    if style.comb == "aside":
        return (
            around * 0.8 + np.array([0, -0.35, -0.15]) + np.array([0, 0, 0.5]) * (phi < 0.8)[:, None] * (progress < 0.3)
        )
    if style.comb == "forward":
        top = (at[:, 1] > 7.9)[:, None]
        return np.where(top, np.array([0, -0.25, 0.9]) + 0.3 * around, np.array([0, -1.0, 0.25]))
    if style.comb == "back":
        return np.array([0, -0.30, -1.0]) + 0.25 * around * (phi < 1.3)[:, None]
    return tie - at


def _cloud(rng: np.random.Generator, head: Head, roots: Roots, layer: np.ndarray) -> np.ndarray:
    """`(n, segments + 1, 3)` short arcs around the head at all depths of tight curls, thinner at the hairline."""
    style, length = head.style, head.style.length * head.scale
    aside = np.cross(roots.normals, rng.normal(0, 1, roots.normals.shape))
    aside /= np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-6)
    t = np.linspace(-0.5, 0.5, style.segments + 1)[None]
    above = above_hairline(roots.base, head.who.style == "receding")
    thick = np.clip(above / (0.35 + 0.9 * style.volume), 0.12, 1)
    height = (style.under * 0.8 + layer * style.volume) * thick * head.scale
    arch = height[:, None] + 0.6 * length * (0.25 - t**2)
    return roots.places[:, None] + roots.normals[:, None] * arch[..., None] + aside[:, None] * (t * length)[..., None]


def _grow(rng: np.random.Generator, head: Head, roots: Roots, layer: np.ndarray) -> np.ndarray:
    """`(n, segments + 1, 3)` paths of strands that are combed."""
    who, style, scale = head.who, head.style, head.scale
    side = np.sign(roots.base[:, 0] - 0.5 * who.parting + rng.normal(0, 0.02, len(roots.base)))
    count, tie = len(roots.places), BUN if who.style == "bun" else TIE
    length = style.length * who.length * scale * rng.uniform(0.82, 1.05, count)
    direction = roots.normals * 0.8 + rng.normal(0, style.ruffle, (count, 3))
    if style.comb in ("down", "gather"):
        direction *= 0.4
    if style.comb == "gather":
        length = np.linalg.norm(tie - roots.base, axis=1) * scale * 1.15
    place, path = roots.places.copy(), [roots.places]
    stray = 0.4 * rng.normal(0, style.ruffle, (count, 3))
    cut = style.cut + rng.normal(0, 0.05, count)
    for k in range(style.segments):
        progress = k / style.segments
        at = place - head.moved
        wanted = _wanted(style, at, side, tie, progress)
        wanted = wanted / np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-6) + stray
        direction = style.stiffness * direction + (1 - style.stiffness) * wanted
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)
        going = (at[:, 1] > cut)[:, None]
        place = place + direction * (length / style.segments)[:, None] * going
        off = style.under + layer * style.volume * min(1.0, 0.35 + 1.3 * progress)
        if style.comb == "gather":
            off = style.under + layer * style.volume * (1 - progress)
        place = pushed(place, head.ground, off, True)
        path.append(place)
    paths = np.stack(path, axis=1)
    if style.wave:
        phase, t = rng.uniform(0, 6.28, count), np.linspace(0, 1, style.segments + 1)
        across = np.cross(paths[:, -1] - paths[:, 0], HEAD_CENTRE + head.moved - paths[:, 0])
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
        swing = style.wave * np.sin(2 * np.pi * style.turns * t[None] + phase[:, None]) * np.minimum(1, 3 * t)
        paths = paths + swing[..., None] * across[:, None]
    return paths


def _fringe(rng: np.random.Generator, head: Head, material: Material) -> Part:
    """Strands over the forehead, down to the brows."""

    def density(places: np.ndarray) -> np.ndarray:
        above = above_hairline(places)
        return ((above > 0.0) & (above < 0.3) & (azimuth(places) < 42) & (places[..., 2] > 0.6)).astype(float)

    roots = scatter(rng, 130, head.rest, head.normals, density)
    count, steps = len(roots.places), 5
    lean = np.stack(
        [0.55 * (roots.base[:, 0] - head.who.parting * 0.5), np.full(count, -1.0), np.full(count, 0.35)], axis=1
    )
    place, path, layer = roots.places, [roots.places], rng.random(count)
    end = 7.53 + 0.10 * np.abs(roots.base[:, 0]) + rng.normal(0, 0.03, count)
    length = np.clip(roots.base[:, 1] - end + 0.1, 0.3, 1.2) * head.scale
    for k in range(steps):
        direction = lean + roots.normals * (0.9 if k == 0 else 0.0) + rng.normal(0, 0.08, (count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        place = pushed(place + direction * (length / steps)[:, None], head.ground, 0.05 + 0.10 * layer)
        path.append(place)
    return cards(rng, np.stack(path, axis=1), head.ground, material, layer, 0.16)


def _bun(rng: np.random.Generator, head: Head, material: Material) -> Part:
    """Strands that are wound around a ball at the back."""
    count, layer, spread = 90, rng.random(90), _directions(rng, 90)
    centre = BUN + head.moved + np.array([0, 0.12, -0.12])
    axis = np.cross(rng.normal(0, 1, (count, 3)), spread)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.linspace(0, 2.4, 9)[None, :, None]
    turning = spread[:, None] * np.cos(angle) + np.cross(axis, spread)[:, None] * np.sin(angle)
    paths = centre + turning * (0.26 + 0.06 * layer)[:, None, None] * head.scale
    ball = centre + 0.2 * spread
    return cards(rng, paths, Ground(ball, spread, cKDTree(ball)), material, layer, 0.16)


def _tail(rng: np.random.Generator, head: Head, material: Material) -> Part:
    """What hangs from a tie at the back."""
    layer, spread = rng.random(90), _directions(rng, 90)
    place = TIE + head.moved + spread * 0.07
    direction, path = np.array([0.0, 0.15, -1.0]) + 0.35 * spread, [place]
    for _ in range(8):
        direction = 0.6 * direction + 0.4 * (np.array([0, -1.0, 0]) + 0.12 * spread)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        place = pushed(place + direction * 0.26 * head.who.length * head.scale, head.ground, 0.12 + 0.1 * layer)
        path.append(place)
    return cards(rng, np.stack(path, axis=1), head.ground, material, layer, 0.16)


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    spread = rng.normal(0, 1, (count, 3))
    return spread / np.linalg.norm(spread, axis=1, keepdims=True)
