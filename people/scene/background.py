"""Backgrounds: blurred rooms and places, drawn from a seed, in linear light."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from people.looks.noise import smooth_noise, step
from people.raster.scene import linear_of

SIDE = 288  # of the drawn place; the picture shows what the camera's small movements leave of it
MARGIN = 16
Rgb = np.ndarray
Number = float | np.integer


@dataclass(frozen=True)
class Place:
    """What is behind the person: a name for the caption and `(SIDE, SIDE, 3)` float32 of linear light."""

    name: str
    image: np.ndarray

    def seen(self, size: int, shift: tuple[float, float]) -> np.ndarray:
        """`(size, size, 3)` float32 as the camera sees it, moved by (x, y) pixels of the picture."""
        inner = SIDE - 2 * MARGIN
        scale = inner / size
        x = np.clip(MARGIN + (-shift[0] * scale), 0, 2 * MARGIN)
        y = np.clip(MARGIN + (-shift[1] * scale), 0, 2 * MARGIN)
        matrix = np.array([[scale, 0, x + (scale - 1) / 2], [0, scale, y + (scale - 1) / 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        source = self.image if scale < 1.2 else cv2.blur(self.image, (round(scale), round(scale)))
        return np.ascontiguousarray(
            cv2.warpAffine(source, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        )


def _colour(rng: np.random.Generator, low: float = 0.25, high: float = 0.85, saturation: float = 0.35) -> Rgb:
    hsv = np.array([[[rng.uniform(0, 360), rng.uniform(0.03, saturation), rng.uniform(low, high)]]], np.float32)
    return linear_of(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]).astype(np.float32)


def _box(image: Rgb, x: Number, y: Number, width: Number, height: Number, colour: Rgb) -> None:
    cv2.rectangle(
        image, (round(x), round(y)), (round(x + width) - 1, round(y + height) - 1), [float(c) for c in colour], -1
    )


def _wall(rng: np.random.Generator) -> Rgb:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    light = 1.12 - rng.uniform(0.2, 0.6) * np.hypot(x - rng.uniform(0.1, 0.9), y - rng.uniform(0, 0.5))
    return (np.ones((SIDE, SIDE, 3), np.float32) * _colour(rng) * light[..., None]).astype(np.float32)


def _pictures(rng: np.random.Generator) -> Rgb:
    image = _wall(rng)
    for _ in range(int(rng.integers(1, 4))):
        w, h = rng.integers(40, 90, 2)
        x, y = rng.integers(-20, SIDE - 40), rng.integers(-20, SIDE // 2)
        _box(image, x, y, w, h, _colour(rng, 0.05, 0.3))
        _box(image, x + 5, y + 5, w - 10, h - 10, _colour(rng, 0.3, 0.95, 0.7))
    return image


def _shelf(rng: np.random.Generator) -> Rgb:
    image = _wall(rng) * 0.35
    wood, step_y, y = (
        _colour(rng, 0.25, 0.5, 0.5) * [1.1, 0.85, 0.6],
        int(rng.integers(52, 78)),
        -int(rng.integers(0, 40)),
    )
    while y < SIDE:
        x = 0
        while x < SIDE:
            w, h = int(rng.integers(6, 16)), int(rng.integers(step_y * 2 // 3, step_y - 6))
            if rng.random() < 0.92:
                _box(image, x, y + step_y - h - 6, w - 1, h, _colour(rng, 0.15, 0.75, 0.75))
            x += w
        _box(image, 0, y + step_y - 6, SIDE, 7, wood)
        y += step_y
    return image


def _window(rng: np.random.Generator) -> Rgb:
    image = _wall(rng) * 0.7
    x, w, bottom = int(rng.integers(-30, 140)), int(rng.integers(90, 160)), int(rng.integers(180, 250))
    rows = np.linspace(1.1, 0.6, bottom, dtype=np.float32)[:, None, None]
    left, right = max(0, x), min(SIDE, x + w)
    image[:bottom, left:right] = rows * np.array([0.65, 0.78, 0.92], np.float32)
    frame = np.array([0.55, 0.55, 0.53], np.float32)
    for k in (0, w // 2, w):
        _box(image, x + k - 3, 0, 6, bottom, frame)
    for k in (bottom // 2, bottom):
        _box(image, x, k - 3, w, 6, frame)
    return image


def _lights(rng: np.random.Generator) -> Rgb:
    image = np.ones((SIDE, SIDE, 3), np.float32) * np.array([0.012, 0.014, 0.03], np.float32)
    for _ in range(80):
        glow = np.zeros_like(image)
        cv2.circle(
            glow,
            tuple(int(v) for v in rng.integers(0, SIDE, 2)),
            int(rng.integers(5, 15)),
            [float(c) for c in 0.6 * _colour(rng, 0.4, 1.0, 0.85)],
            -1,
        )
        image += glow
    return image


def _garden(rng: np.random.Generator) -> Rgb:
    leaves = 1 + 0.5 * smooth_noise(rng, (SIDE, SIDE), (14, 14)) + 0.35 * smooth_noise(rng, (SIDE, SIDE), (45, 45))
    green = np.array([0.11, 0.21, 0.05], np.float32) * leaves[..., None]
    y = np.mgrid[0:SIDE, 0:SIDE][0] / SIDE
    ground = step(y + 0.07 * smooth_noise(rng, (SIDE, SIDE), (9, 9)), 0.18, 0.30)[..., None]
    return (green * ground + np.array([0.50, 0.65, 0.88], np.float32) * (1 - ground)).astype(np.float32)


def _curtain(rng: np.random.Generator) -> Rgb:
    x = np.mgrid[0:SIDE, 0:SIDE][1].astype(np.float32)
    folds = np.sin(x / rng.uniform(5, 11) + 2 * smooth_noise(rng, (SIDE, SIDE), (2, 6)))
    return (_wall(rng) * (0.85 + 0.25 * folds[..., None])).astype(np.float32)


def _office(rng: np.random.Generator) -> Rgb:
    image = _wall(rng)
    horizon = int(rng.integers(150, 210))
    image[horizon:] *= 0.55
    for _ in range(6):
        w, h = rng.integers(24, 90), rng.integers(20, 80)
        _box(image, rng.integers(-20, SIDE), horizon - h, w, h + 10, _colour(rng, 0.15, 0.7, 0.3))
    for _ in range(int(rng.integers(1, 4))):
        _box(image, rng.integers(0, SIDE - 50), rng.integers(4, 30), 50, 7, np.array([1.1, 1.1, 1.05], np.float32))
    return image


PLACES: dict[str, tuple[Callable[[np.random.Generator], Rgb], float]] = {
    "a plain wall": (_wall, 1.0),
    "a wall with pictures": (_pictures, 3.0),
    "a bookshelf": (_shelf, 2.5),
    "a window": (_window, 3.0),
    "city lights at night": (_lights, 2.0),
    "a garden": (_garden, 4.0),
    "a curtain": (_curtain, 2.0),
    "an office": (_office, 4.5),
}


def draw_place(rng: np.random.Generator) -> Place:
    """Draw what is behind the person, out of focus."""
    name = str(rng.choice(list(PLACES)))
    maker, blur = PLACES[name]
    image = maker(rng) * (1 + 0.03 * smooth_noise(rng, (SIDE, SIDE), (36, 36))[..., None])
    return Place(
        name, cv2.GaussianBlur(np.clip(image, 0, 1.3).astype(np.float32), (0, 0), blur * rng.uniform(0.7, 1.3))
    )
