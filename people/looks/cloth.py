"""Garments: where cloth ends, and its texture, over the front and the back of the base mesh as a tailor lays a pattern flat."""

import zlib

import numpy as np

from people.identity import Garment, Identity
from people.looks.noise import smooth_noise, step
from people.raster.scene import coded, linear_of

# The flat pattern: x and y of the base mesh in decimetres; the front fills the texture's upper half, the back the lower.
LEFT, RIGHT, BOTTOM, TOP = -4.7, 4.7, -1.9, 6.3
SHOULDER, ELBOW, WRIST = np.array([1.68, 5.25]), np.array([3.13, 3.49]), np.array([4.31, 2.45])


def pattern_uv(places: np.ndarray, front: np.ndarray) -> np.ndarray:
    """`(n, 2)` texture places of `(n, 3)` places on the base mesh, by whether they lie in front."""
    u = (places[:, 0] - LEFT) / (RIGHT - LEFT)
    v = (TOP - places[:, 1]) / (TOP - BOTTOM)
    return np.stack([u, 0.5 * np.clip(v, 0.002, 0.998) + np.where(front, 0.0, 0.5)], axis=1)


def neck_edge(x: np.ndarray, y: np.ndarray, front: np.ndarray, neckline: str) -> np.ndarray:
    """About how many decimetres a place lies inside the cloth, seen from the neckline; negative where skin shows."""
    x = np.abs(x)

    def oval(width: float, centre: float, height: float) -> np.ndarray:
        radius = np.sqrt((x / width) ** 2 + ((y - centre) / height) ** 2)
        return (radius - 1) * np.where(y > centre, width, min(width, height))

    behind = oval(0.68, 5.95, 0.30)
    if neckline == "high":
        return 6.02 - y
    shapes = {
        "crew": lambda: oval(0.70, 5.95, 0.66),
        "scoop": lambda: oval(0.90, 5.95, 1.10),
        "boat": lambda: oval(1.20, 5.85, 0.44),
        "V": lambda: np.maximum(oval(0.70, 5.95, 5.0), (4.72 + 1.75 * x - y) * 0.5),
        "collar": lambda: np.maximum(oval(0.62, 5.95, 5.0), (5.12 + 2.3 * x - y) * 0.4),
        "lapels": lambda: (3.55 + 3.0 * x - y) * 0.33,
    }
    return np.where(front, shapes[neckline](), behind)


def sleeve_edge(x: np.ndarray, y: np.ndarray, sleeve: str) -> np.ndarray:
    """Decimetres inside the cloth, seen from the sleeve's end."""
    x = np.abs(x)
    if sleeve == "none":
        return 1.42 - 0.12 * (y - 4.5) ** 2 * (y > 4.5) - x + 0.2 * (y < 4.5) * (4.5 - y)
    start, end, share = (SHOULDER, ELBOW, 0.62) if sleeve == "short" else (ELBOW, WRIST, 0.97)
    way = end - start
    length = np.hypot(*way)
    along = ((x - start[0]) * way[0] + (y - start[1]) * way[1]) / length
    return np.where(x > np.interp(y, [3.5, 4.4], [2.1, 1.3]), share * length - along, 1.0)


def inside(places: np.ndarray, front: np.ndarray, garment: Garment) -> np.ndarray:
    """Decimetres of `(n, 3)` places inside the cloth; negative where skin shows."""
    x, y = places[..., 0], places[..., 1]
    return np.minimum(neck_edge(x, y, front, garment.neckline), sleeve_edge(x, y, garment.sleeve))


def cloth_texture(who: Identity, size: int) -> np.ndarray:
    """`(h, size, 4)` uint8 of the flat pattern; alpha is where cloth is."""
    garment = who.garment
    rng = np.random.default_rng([who.seed, zlib.crc32(b"cloth")])
    half = int(size * (TOP - BOTTOM) / (RIGHT - LEFT))
    y, x = np.mgrid[0 : 2 * half, 0:size].astype(np.float32)
    front = y < half
    x = LEFT + (x + 0.5) / size * (RIGHT - LEFT)
    y = TOP - (y % half + 0.5) / half * (TOP - BOTTOM)
    main, second = linear_of(np.array(garment.rgb)), linear_of(np.array(garment.second_rgb))
    texel = (RIGHT - LEFT) / size
    image = np.ones((*x.shape, 3), np.float32) * main
    _pattern(image, x, y, garment, second, texel)
    neck = neck_edge(x, y, front, garment.neckline)
    edge = np.minimum(neck, sleeve_edge(x, y, garment.sleeve))
    if garment.kind in ("T-shirt", "sweater", "tank top"):
        band = 0.10 if garment.kind == "T-shirt" else 0.16
        image *= 1 - 0.16 * step(edge, band, band - 0.02)[..., None] - 0.22 * _near(edge - band, 0.025)
    if garment.kind in ("shirt", "polo shirt"):
        placket = np.where(front & (y > (3.9 if garment.kind == "polo shirt" else -9)), np.abs(np.abs(x) - 0.14), 9)
        image *= 1 - 0.25 * _near(placket, 0.02)
        buttons = np.where(
            front & (y < 5.1) & (y > (4.0 if garment.kind == "polo shirt" else -9)), np.hypot(x, (y % 0.75) - 0.4), 9
        )
        image[:] = image * (1 - _near(buttons, 0.055)) + _near(buttons, 0.055) * (0.75 if main.mean() < 0.3 else 0.25)
    if garment.kind == "suit":
        _suit(image, x, y, front, garment, second, rng)
    folds = smooth_noise(rng, x.shape, (14, 22)) * 0.055 + smooth_noise(rng, x.shape, (40, 30)) * 0.04
    image *= 1 + folds[..., None] + 0.03 * smooth_noise(rng, x.shape, (2 * half // 2, size // 2))[..., None]
    armpit = np.hypot((np.abs(x) - 1.55) / 0.35, (y - 4.3) / 0.7)
    image *= 1 - 0.25 * step(armpit, 1.2, 0.3)[..., None]
    alpha = np.clip(0.5 + edge / (2.0 * texel), 0, 1)
    return np.concatenate([coded(image), np.round(alpha * 255)[..., None]], axis=2).astype(np.uint8)


def _near(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((distance / width) ** 2))[..., None]


def _pattern(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, garment: Garment, second: np.ndarray, texel: float
) -> None:
    """Stripes, checks or dots of the second colour, in place; none finer than two texels."""
    period = max(0.42 * garment.scale, 5 * texel)

    def stripes(value: np.ndarray, share: float = 0.5) -> np.ndarray:
        return step(
            np.abs((value / period) % 1 - 0.5) * period, share * period / 2 + texel / 2, share * period / 2 - texel / 2
        )[..., None]

    if garment.pattern == "striped":
        amount = stripes(y)
    elif garment.pattern == "checked":
        amount = 0.5 * stripes(x, 0.4) + 0.5 * stripes(y, 0.4)
    elif garment.pattern == "dotted":
        row = np.floor(y / period)
        away = np.hypot(((x / period + 0.5 * (row % 2)) % 1 - 0.5), ((y / period) % 1 - 0.5)) * period
        amount = step(away, 0.27 * period + texel / 2, 0.27 * period - texel / 2)[..., None]
    else:
        return
    image[:] = image * (1 - amount) + amount * second


def _suit(
    image: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    front: np.ndarray,
    garment: Garment,
    second: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Lapels, and in their opening a shirt with or without a tie, in place."""
    opening = np.where(front, neck_edge(x, y, front, "lapels"), 1.0)
    lapel = (opening > 0) & (opening < 0.30 - 0.03 * np.clip(5 - y, 0, 2)) & front & (y > 3.5)
    image[lapel] *= 1.25
    image *= 1 - 0.4 * _near(
        np.where(lapel | (np.abs(opening) < 0.1), np.minimum(np.abs(opening), np.abs(opening - 0.27)), 9), 0.03
    )
    shirt = step(opening, 0.02, -0.02)[..., None]
    image[:] = image * (1 - shirt) + shirt * second
    image *= 1 - 0.15 * _near(np.where(opening < 0, x, 9), 0.02)
    if rng.random() < 0.6:
        tie = linear_of(
            np.array([(0.45, 0.10, 0.12), (0.10, 0.13, 0.30), (0.15, 0.15, 0.16), (0.20, 0.32, 0.25)])[rng.integers(4)]
        )
        width = np.where(y > 4.95, 0.13, 0.10 + 0.05 * np.clip(4.95 - y, 0, 2))
        image[(np.abs(x) < width) & (opening < 0) & (y < 5.22)] = tie
