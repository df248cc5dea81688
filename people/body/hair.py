"""Hair: cards of strands that grow from the scalp along a comb's direction, lie on the head and the shoulders, and are cut."""

import zlib
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from people.body.anatomy import anatomy
from people.body.part import Part
from people.body.styles import STYLES, Style
from people.identity import Identity
from people.looks.scalp import HEAD_CENTRE, above_hairline, azimuth, beard
from people.looks.strands import VARIANTS
from people.raster import Material

LONGEST_REACH = 0.7  # decimetres from the skin beyond which a strand hangs freely
BUN, TIE = np.array([0.0, 7.95, -0.42]), np.array([0.0, 7.55, -0.52])


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


def scatter(rng: np.random.Generator, count: int, rest: np.ndarray, normals: np.ndarray, density) -> Roots:
    """Scatter roots over the skin by `density` of `(n, 3)` places on the base mesh, 0 where none grow."""
    a = anatomy()
    triangles = _skin_triangles()
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


def _skin_triangles() -> np.ndarray:
    skin = anatomy().surfaces["skin"]
    triangles = skin.source[skin.triangles]
    return triangles[
        (anatomy().base[triangles, 1] > 5.9).all(axis=1) & (np.abs(anatomy().base[triangles, 0]) < 0.78).all(axis=1)
    ]


def _scalp_density(style: str):
    def density(places: np.ndarray) -> np.ndarray:
        return (above_hairline(places, style == "receding") > 0.01).astype(float) * (places[..., 1] > 6.45)

    return density


def hair_parts(
    who: Identity, rest: np.ndarray, normals: np.ndarray, ground: Ground, strands: Material, scalp: Material
) -> list[Part]:
    """All hair of the head, from `(V, 3)` rest vertices and normals of the base mesh."""
    if who.style == "bald":
        return []
    style = STYLES[who.style]
    rng = np.random.default_rng([who.seed, zlib.crc32(b"hair")])
    parts = [_under_layer(who, style, rest, normals, scalp)]
    if not style.strands:
        return parts
    scale = float(np.ptp(rest[anatomy().face_points][:, 1]) / np.ptp(anatomy().base[anatomy().face_points][:, 1]))
    moved = rest[anatomy().face_points].mean(axis=0) - anatomy().base[anatomy().face_points].mean(axis=0)
    roots = scatter(rng, style.strands, rest, normals, _scalp_density(who.style))
    side = np.sign(roots.base[:, 0] - 0.5 * who.parting + rng.normal(0, 0.02, len(roots.base)))
    layer = rng.random(len(roots.base))
    if style.comb == "out":
        paths = _cloud(rng, style, roots, layer, scale, above_hairline(roots.base, who.style == "receding"))
    else:
        paths = _grow(rng, style, who, roots, side, layer, ground, moved, scale)
    parts.append(_cards(rng, style, paths, roots, ground, strands, layer))
    if style.fringe:
        parts.append(_fringe(rng, style, rest, normals, ground, strands, moved, scale, who))
    if style.comb == "gather":
        parts.append(_tail(rng, style, who, ground, strands, moved, scale))
    return parts


def _under_layer(who: Identity, style: Style, rest: np.ndarray, normals: np.ndarray, material: Material) -> Part:
    a = anatomy()
    triangles = _skin_triangles()
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


def _wanted(
    style: Style, at: np.ndarray, roots: Roots, side: np.ndarray, tie: np.ndarray, progress: float
) -> np.ndarray:
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
    if style.comb == "gather":
        return tie - at
    return np.array([0.0, -1.0, 0.0]) + 0 * at


def _cloud(rng, style: Style, roots: Roots, layer: np.ndarray, scale: float, above: np.ndarray) -> np.ndarray:
    """`(n, segments + 1, 3)` short arcs around the head at all depths of tight curls, thinner at the hairline."""
    count = len(roots.places)
    aside = np.cross(roots.normals, rng.normal(0, 1, (count, 3)))
    aside /= np.maximum(np.linalg.norm(aside, axis=1, keepdims=True), 1e-6)
    t = np.linspace(-0.5, 0.5, style.segments + 1)[None]
    thick = np.clip(above / (0.35 + 0.9 * style.volume), 0.12, 1)
    height = (style.under * 0.8 + layer * style.volume)[:, None] * thick[:, None] * scale
    arch = height + 0.6 * style.length * scale * (0.25 - t**2)
    return (
        roots.places[:, None]
        + roots.normals[:, None] * arch[..., None]
        + aside[:, None] * (t * style.length * scale)[..., None]
    )


def _grow(rng, style: Style, who: Identity, roots: Roots, side, layer, ground: Ground, moved, scale) -> np.ndarray:
    """`(n, segments + 1, 3)` paths."""
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
        at = place - moved
        wanted = _wanted(style, at, roots, side, tie, progress)
        wanted = wanted / np.maximum(np.linalg.norm(wanted, axis=1, keepdims=True), 1e-6) + stray
        direction = style.stiffness * direction + (1 - style.stiffness) * wanted
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)
        going = (at[:, 1] > cut)[:, None]
        place = place + direction * (length / style.segments)[:, None] * going
        off = style.under + layer * style.volume * min(1.0, 0.35 + 1.3 * progress)
        if style.comb == "gather":
            off = style.under + layer * style.volume * (1 - progress)
        place = _pushed(place, ground, off, True)
        path.append(place)
    paths = np.stack(path, axis=1)
    if style.wave:
        phase, t = rng.uniform(0, 6.28, count), np.linspace(0, 1, style.segments + 1)
        across = np.cross(paths[:, -1] - paths[:, 0], HEAD_CENTRE + moved - paths[:, 0])
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-6)
        swing = style.wave * np.sin(2 * np.pi * style.turns * t[None] + phase[:, None]) * np.minimum(1, 3 * t)
        paths = paths + swing[..., None] * across[:, None]
    return paths


def _pushed(place: np.ndarray, ground: Ground, off: np.ndarray | float, clings: bool = False) -> np.ndarray:
    """Places lifted to at least `off` above the ground where they are near it, and drawn down to it on the head if hair `clings`."""
    away, nearest = ground.tree.query(place)
    normal = ground.normals[nearest]
    height = ((place - ground.vertices[nearest]) * normal).sum(axis=1)
    lift = np.maximum(0, off - height)
    if clings:
        on_head = ground.vertices[nearest, 1] > ground.chin + 0.25
        lift = lift + np.where(on_head, 0.7 * np.minimum(0, off + 0.03 - height), 0)
    return place + normal * (lift * (away < LONGEST_REACH))[:, None]


def _cards(
    rng,
    style: Style,
    paths: np.ndarray,
    roots: Roots,
    ground: Ground,
    material: Material,
    layer: np.ndarray,
    width: float | None = None,
) -> Part:
    """Ribbons along paths `(n, k, 3)`, flat to the ground, two vertices a step."""
    count, steps = paths.shape[:2]
    tangent = np.gradient(paths, axis=1)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=2, keepdims=True), 1e-6)
    _, nearest = ground.tree.query(paths.reshape(-1, 3))
    normal = ground.normals[nearest].reshape(count, steps, 3)
    normal = normal + 0.3 * rng.normal(0, 1, (count, 1, 3)) * (0.35 if style.curls else 0.2)
    across = np.cross(tangent, normal)
    across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-6)
    normal = np.cross(across, tangent) * 0.6 + 0.4 * normal / np.linalg.norm(normal, axis=2, keepdims=True)
    t = np.linspace(0, 1, steps)
    taper = np.interp(t, [0, 0.3, 0.8, 1], [0.8, 1.0, 0.85, 0.45])
    half = 0.5 * (width or style.width) * rng.uniform(0.7, 1.3, count)[:, None] * taper[None]
    rest = np.stack([paths - across * half[..., None], paths + across * half[..., None]], axis=2)
    variant = rng.integers(0, VARIANTS, count)[:, None] / VARIANTS
    low, high = (np.broadcast_to(variant + e, (count, steps)) for e in (0.02 / VARIANTS, 0.98 / VARIANTS))
    uv = np.stack(
        [
            np.stack([low, np.broadcast_to(t, (count, steps))], -1),
            np.stack([high, np.broadcast_to(t, (count, steps))], -1),
        ],
        axis=2,
    )
    first = (np.arange(count)[:, None] * steps + np.arange(steps - 1)[None]) * 2
    quads = np.stack([first, first + 1, first + 3, first, first + 3, first + 2], axis=-1).reshape(-1, 3)
    shade = (
        (0.62 + 0.38 * layer)[:, None]
        * np.interp(t, [0, 0.5, 1], [0.72, 1.0, 1.0])[None]
        * rng.uniform(0.82, 1.12, count)[:, None]
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
    bones = np.tile(np.int32([head, chest, 0, 0]), (len(places), 1))
    return bones, np.stack([1 - low, low, 0 * low, 0 * low], axis=1).astype(np.float32)


def _neck_height(places: np.ndarray) -> float:
    return float(places[:, 1].max()) - 2.1


def _fringe(rng, style: Style, rest, normals, ground: Ground, material: Material, moved, scale, who: Identity) -> Part:
    """Strands over the forehead, down to the brows."""

    def density(places: np.ndarray) -> np.ndarray:
        above = above_hairline(places)
        return ((above > 0.0) & (above < 0.3) & (azimuth(places) < 42) & (places[..., 2] > 0.6)).astype(float)

    roots = scatter(rng, 130, rest, normals, density)
    count, steps = len(roots.places), 5
    lean = np.stack([0.55 * (roots.base[:, 0] - who.parting * 0.5), np.full(count, -1.0), np.full(count, 0.35)], axis=1)
    place, path, layer = roots.places, [roots.places], rng.random(count)
    end = 7.53 + 0.10 * np.abs(roots.base[:, 0]) + rng.normal(0, 0.03, count)
    length = np.clip(roots.base[:, 1] - end + 0.1, 0.3, 1.2) * scale
    for k in range(steps):
        direction = lean + roots.normals * (0.9 if k == 0 else 0.0) + rng.normal(0, 0.08, (count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        place = _pushed(place + direction * (length / steps)[:, None], ground, 0.05 + 0.10 * layer)
        path.append(place)
    return _cards(rng, style, np.stack(path, axis=1), roots, ground, material, layer, 0.16)


def _tail(rng, style: Style, who: Identity, ground: Ground, material: Material, moved, scale) -> Part:
    """What hangs from a tie, or the bun that is wound around it."""
    count, steps = 90, 9
    layer = rng.random(count)
    spread = rng.normal(0, 1, (count, 3))
    spread /= np.linalg.norm(spread, axis=1, keepdims=True)
    if who.style == "bun":
        centre = BUN + moved + np.array([0, 0.12, -0.12])
        axis = rng.normal(0, 1, (count, 3))
        axis = np.cross(axis, spread)
        axis /= np.linalg.norm(axis, axis=1, keepdims=True)
        angle = np.linspace(0, 2.4, steps)[None, :, None]
        turning = spread[:, None] * np.cos(angle) + np.cross(axis, spread)[:, None] * np.sin(angle)
        paths = centre + turning * (0.26 + 0.06 * layer)[:, None, None] * scale
        empty = Ground(centre + 0.2 * spread, spread, cKDTree(centre + 0.2 * spread))
        return _cards(
            rng,
            style,
            paths,
            Roots(paths[:, 0], spread, paths[:, 0], np.zeros(count, int)),
            empty,
            material,
            layer,
            0.16,
        )
    place = TIE + moved + spread * 0.07
    direction, path = np.tile([0.0, 0.15, -1.0], (count, 1)) + 0.35 * spread, [place]
    for _ in range(steps - 1):
        direction = 0.6 * direction + 0.4 * (np.array([0, -1.0, 0]) + 0.12 * spread)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        place = _pushed(place + direction * 0.26 * who.length * scale, ground, 0.12 + 0.1 * layer)
        path.append(place)
    paths = np.stack(path, axis=1)
    return _cards(
        rng, style, paths, Roots(paths[:, 0], spread, paths[:, 0], np.zeros(count, int)), ground, material, layer, 0.16
    )


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
        return beard(places, who.beard) * (near_lips.query(places)[0] > 0.05)

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
    part = _cards(
        rng, Style("out", count, 0.09, 0.1, 0.1), paths, roots, on_skin, material, 0.7 + 0.3 * rng.random(count), 0.055
    )
    follows = np.repeat(roots.vertex, 6)
    return Part(
        material, part.rest, part.normal, part.tangent, a.bones[follows], a.weights[follows], follows, part.uv, part.triangles, np.clip(1.15 * part.shade, 0, 1),
    )  # fmt: skip
