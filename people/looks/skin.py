"""Skin: colour of every texel of the head, painted by where it lies on the face."""

import zlib
from functools import cache

import numpy as np

from people.body.anatomy import anatomy
from people.identity import Identity
from people.looks.noise import smooth_noise, step
from people.looks.scalp import above_hairline, beard, brow
from people.raster.reference import cover
from people.raster.scene import coded, linear_of

# Part of the skin's texture where the head's outside lies: left, right, top, bottom.
WINDOW = (0.69, 1.0, 0.29, 0.73)


@cache
def head_places(size: int) -> tuple[np.ndarray, np.ndarray]:
    """`(size, size, 3)` place on the base mesh of each texel of the window, and `(size, size)` whether it has one."""
    surface, base = anatomy().surfaces["skin"], anatomy().base
    xy = (window_uv(surface.uv) * size - 0.5).astype(np.float32)
    inside = np.all(np.abs(xy / size - 0.5) < 0.52, axis=1)
    triangles = surface.triangles[np.asarray(inside)[surface.triangles].all(axis=1)]
    # Grown a little about their middles, so that filtering at seams meets colour.
    corners = xy[triangles]
    t, x, y, a, b, c = cover(
        corners + 0.35 * (corners - corners.mean(axis=1, keepdims=True)), size, size, np.zeros(len(triangles))
    )
    q = base[surface.source[triangles[t]]]
    places, known = np.zeros((size, size, 3), np.float32), np.zeros((size, size), bool)
    places[y, x] = a[:, None] * q[:, 0] + b[:, None] * q[:, 1] + c[:, None] * q[:, 2]
    known[y, x] = True
    return places, known


def window_uv(uv: np.ndarray) -> np.ndarray:
    """`(n, 2)` places in the window of places in the whole texture; outside [0, 1] where they lie elsewhere."""
    left, right, top, bottom = WINDOW
    return (uv - [left, top]) / [right - left, bottom - top]


@cache
def head_mask(name: str, size: int) -> np.ndarray:
    """`(size, size)` of one of the pack's masks over the window, averaged over each texel."""
    mask = anatomy().masks[name]
    side = len(mask)
    left, right, top, bottom = (int(round(edge * side)) for edge in WINDOW)
    rows, columns = ((np.arange(size + 1) * n / size) for n in (bottom - top, right - left))
    sums = np.pad(mask[top:bottom, left:right], ((1, 0), (1, 0))).cumsum(0).cumsum(1)

    def total(y: np.ndarray, x: np.ndarray) -> np.ndarray:  # bilinear in the table of sums
        y0, x0 = np.minimum(y.astype(int), bottom - top - 1), np.minimum(x.astype(int), right - left - 1)
        fy, fx = (y - y0)[:, None], (x - x0)[None]
        row = sums[y0] * (1 - fy) + sums[y0 + 1] * fy
        return row[:, x0] * (1 - fx) + row[:, x0 + 1] * fx

    whole = total(rows, columns)
    area = (bottom - top) * (right - left) / size**2
    return ((whole[1:, 1:] - whole[:-1, 1:] - whole[1:, :-1] + whole[:-1, :-1]) / area).astype(np.float32)


@cache
def _blob(size: int, x: float, y: float, z: float, radius: float) -> np.ndarray:
    """`(size, size, 1)` float32 Gaussian around a place of the head and its mirror image."""
    places, _ = head_places(size)
    away = (np.abs(places[..., 0]) - x) ** 2 + (places[..., 1] - y) ** 2 + (places[..., 2] - z) ** 2
    return np.exp(-away / np.float32(radius**2))[..., None]


def _line(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((distance / width) ** 2))[..., None]


def head_texture(who: Identity, size: int) -> np.ndarray:
    """`(size, size, 4)` uint8 of the head."""
    rng = np.random.default_rng([who.seed, zlib.crc32(b"skin")])
    p, known = head_places(size)
    tone = linear_of(np.array(who.skin_rgb))
    fair = float(np.clip((who.skin_rgb[1] - 0.25) / 0.5, 0.25, 1))
    image = np.ones((size, size, 3), np.float32) * tone
    image *= (
        1
        + 0.045 * smooth_noise(rng, (size, size), (14, 14))[..., None]
        + 0.03 * smooth_noise(rng, (size, size), (size // 2, size // 2))[..., None]
    )
    red = np.array([0.10, -0.10, -0.09]) * fair
    for x, y, z, radius, much in (
        (0.42, 6.98, 1.32, 0.30, 1.0),
        (0, 6.98, 1.64, 0.15, 1.0),
        (0.12, 6.90, 1.55, 0.08, 0.8),
        (0, 6.30, 1.48, 0.16, 0.4),
        (0.82, 7.1, 0.5, 0.35, 0.9),
    ):
        image *= 1 + much * rng.uniform(0.6, 1.3) * red * _blob(size, x, y, z, radius)
    image *= 1 + np.array([0.03, 0.03, 0.0]) * _blob(size, 0, 7.75, 1.45, 0.5)
    image *= 1 - np.array([0.13, 0.17, 0.12]) * (0.5 + 0.7 * who.wrinkles) * _blob(size, 0.27, 7.17, 1.42, 0.10)
    image *= 1 - np.array([0.22, 0.26, 0.24]) * _blob(size, 0.16, 7.33, 1.42, 0.10)  # beside the bridge of the nose
    image *= 1 - 0.55 * _blob(size, 0.065, 6.835, 1.53, 0.035)  # nostrils
    image *= 1 - 0.10 * _blob(size, 0, 6.43, 1.52, 0.10)  # below the lip
    lids, lips, inner = (head_mask(n, size)[..., None] for n in ("eyelids", "lips", "inside-mouth"))
    made_up = who.lips > 0.4
    image *= 1 - lids * np.array([0.22, 0.36, 0.34]) * (1.5 if made_up else 0.8)
    lashes = (
        _line(p[..., 1] - 7.335, 0.03)
        * step(np.abs(np.abs(p[..., 0]) - 0.31), 0.20, 0.10)[..., None]
        * (p[..., 2] > 1.2)[..., None]
    )
    image *= 1 - (0.55 if made_up else 0.3) * lashes
    lip = tone * np.array([0.92, 0.52, 0.52]) * (1 - who.lips) + who.lips * (
        0.5 * tone * np.array([0.9, 0.3, 0.33]) + 0.5 * np.array([0.36, 0.045, 0.065]) * (0.4 + 0.6 * fair)
    )
    image = image * (1 - 0.85 * lips) + 0.85 * lips * lip
    image *= (
        1
        - 0.45
        * _line(p[..., 1] - 6.607, 0.012)
        * step(np.abs(p[..., 0]), 0.26, 0.2)[..., None]
        * (p[..., 2] > 1.3)[..., None]
    )  # between the lips
    _age(image, p, who, rng)
    _hairs(image, p, who, rng, lips[..., 0])
    image = image * (1 - inner) + inner * np.array([0.16, 0.03, 0.03])
    image[~known] = tone
    return _packed(image)


def _age(image: np.ndarray, p: np.ndarray, who: Identity, rng: np.random.Generator) -> None:
    """Freckles, moles and lines, in place."""
    size, front = len(p), p[..., 2] > 0.9
    x, y = np.abs(p[..., 0]), p[..., 1]
    if who.freckles:
        spots = step(smooth_noise(rng, (size, size), (size // 3, size // 3)), 0.9, 1.5)[..., None]
        image *= 1 - 0.35 * who.freckles * spots * np.array([0.5, 0.8, 1.0]) * (
            _blob(size, 0.35, 7.02, 1.4, 0.4) + _blob(size, 0, 7.7, 1.4, 0.3)
        )
    for _ in range(int(rng.integers(0, 3))):
        side, at = rng.choice([-1, 1]), rng.uniform((0.15, 6.3), (0.55, 7.9))
        away = (p[..., 0] - side * at[0]) ** 2 + (y - at[1]) ** 2
        image *= 1 - 0.5 * (np.exp(-away / 0.022**2) * front)[..., None]
    wobble = 0.02 * np.sin(9 * p[..., 0] + rng.uniform(0, 6))
    lines = sum(_line(y - height - wobble, 0.016) for height in (7.72, 7.80, 7.88)) * step(x, 0.5, 0.3)[..., None]
    fold = 6.93 - 0.9 * (x - 0.16)  # from the nose past the mouth
    lines = lines + 0.9 * _line(y - fold, 0.03) * (step(x, 0.13, 0.2) * step(x, 0.40, 0.34))[..., None]
    feet = (
        _line(((y - 7.28) * 26 + 3 * np.sin(20 * (x - 0.5))) % 2 - 1, 0.5)
        * (step(x, 0.49, 0.53) * step(x, 0.66, 0.6) * step(np.abs(y - 7.28), 0.13, 0.08))[..., None]
    )
    image *= 1 - np.minimum(1, lines + 0.6 * feet) * front[..., None] * np.array([0.22, 0.27, 0.27]) * who.wrinkles


def _hairs(image: np.ndarray, p: np.ndarray, who: Identity, rng: np.random.Generator, lips: np.ndarray) -> None:
    """Brows, stubble and the scalp under the hair, in place."""
    size = len(p)
    hair, shade = linear_of(np.array(who.hair_rgb)), 0.55 if who.hair in ("blond", "red", "grey", "white") else 0.8
    streaks = 0.70 + 0.30 * np.clip(smooth_noise(rng, (size, size), (size, size // 2)), -1, 1)

    def cover(amount: np.ndarray, colour: np.ndarray) -> None:
        amount = np.clip(amount, 0, 1)[..., None]
        image[:] = image * (1 - amount) + amount * colour

    cover(brow(p, who.brows) * streaks * (0.92 if who.hair not in ("blond", "white") else 0.75), hair * shade)
    if who.sex == "male":
        shadow = 0.10 if who.hair in ("black", "dark brown", "brown") else 0.0
        kind, dark = ("full", shadow) if who.beard == "none" else (who.beard, 0.95)
        kind, dark = ("full", 0.42) if kind == "stubble" else (kind, dark)
        grain = 0.82 + 0.18 * np.clip(smooth_noise(rng, (size, size), (size, size)), -1, 1)
        cover(beard(p, kind) * (1 - lips) * dark * grain, hair * 0.75 + 0.008)
    if who.style != "bald":
        edge = above_hairline(p, who.style == "receding") + 0.05 * smooth_noise(rng, (size, size), (24, 24))
        on_head = (p[..., 1] > 6.4) & (np.abs(p[..., 0]) < 0.80)
        cover(step(edge, -0.03, 0.12) * on_head * (0.6 + 0.3 * streaks), hair * 0.75)


@cache
def _coarse_mask(name: str, size: int) -> np.ndarray:
    """`(size, size, 1)` of one of the pack's masks over the whole texture."""
    mask = anatomy().masks[name]
    return mask.reshape(size, len(mask) // size, size, len(mask) // size).mean(axis=(1, 3))[..., None]


def body_texture(who: Identity) -> np.ndarray:
    """`(256, 256, 4)` uint8 of everything but the head: skin, with nails."""
    rng = np.random.default_rng([who.seed, zlib.crc32(b"body")])
    tone = linear_of(np.array(who.skin_rgb)) * np.array([1.0, 0.97, 0.95])
    size = 256
    nails, inner = (_coarse_mask(name, size) for name in ("fingernails", "inside-mouth"))
    image = tone * (1 + 0.04 * smooth_noise(rng, (size, size), (40, 40))[..., None])
    image = image * (1 - nails) + nails * (0.6 * tone * np.array([1.1, 0.85, 0.85]) + 0.1)
    inner = np.clip(inner * 1.6, 0, 1)
    return _packed(image * (1 - inner) + inner * np.array([0.16, 0.03, 0.03]))


def eye_texture(who: Identity) -> np.ndarray:
    """`(96, 96, 4)` uint8 of an eyeball seen from the front."""
    size = 96
    rng = np.random.default_rng([who.seed, zlib.crc32(b"eyes")])
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / (size / 2) - 1
    angle = np.degrees(np.arcsin(np.clip(np.hypot(x, y), 0, 1)))[..., None]
    iris = linear_of(np.array(who.eyes_rgb))
    around = np.arctan2(y, x)
    fibres = (
        1
        + 0.25
        * np.interp(around, np.linspace(-np.pi, np.pi, 61), np.r_[(f := rng.standard_normal(60)), f[0]])[..., None]
    )
    ring = iris * fibres * (1.35 - 0.02 * angle)
    white = np.array([0.62, 0.57, 0.54]) * (1 - 0.004 * np.maximum(0, angle - 30))
    colour = ring * (1 - step(angle, 26, 29)) + white * step(angle, 26, 29)
    colour = colour * (1 - 0.6 * np.exp(-(((angle - 26.5) / 2.2) ** 2)))
    colour = colour * step(angle, 9.5, 12.0) + 0.004
    return _packed(colour * (1 - 0.35 * step(-y, 0.05, 0.6)[..., None]))


def _packed(linear: np.ndarray) -> np.ndarray:
    rgb = coded(linear)
    return np.concatenate([rgb, np.full((*rgb.shape[:2], 1), 255, np.uint8)], axis=2)
