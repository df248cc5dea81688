"""What is drawn: a mesh in camera space, its materials, one directional light with two weaker ones, a camera."""

from dataclasses import dataclass, field

import numpy as np

BACKGROUND = 0  # class of pixels where nothing is drawn


def linear_of(srgb: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def srgb_of(linear: np.ndarray) -> np.ndarray:
    """sRGB values in [0, 1] of linear light (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


LINEAR = linear_of(np.arange(256) / 255).astype(np.float32)
CURVE = np.round(srgb_of(np.arange(4096) / 4095) * 255).astype(np.uint8)


def coded(linear: np.ndarray) -> np.ndarray:
    """uint8 sRGB of linear light, by the rasteriser's own table."""
    return CURVE[(np.clip(linear, 0, 1) * 4095 + 0.5).astype(np.int32)]


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    Attributes:
        name: of the part, such as "skin".
        kind: class in the id buffer, 1 to 255.
        texture: `(h, w, 4)` uint8 RGBA in sRGB; row 0 is v = 0.
        tint: linear factors of the texture's colours.
        specular, gloss: strength of the highlight, and how often its cosine is squared.
        wrap: how far light bends around the surface; scatter: how much farther red does.
        strands: lit along tangents, as hair is, and not averaged over a pixel.
        casts, two_sided, cut_out: throws shadows; drawn from behind too; the texture's alpha leaves samples out.
    """

    name: str
    kind: int
    texture: np.ndarray
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    specular: float = 0.0
    gloss: int = 3
    wrap: float = 0.1
    scatter: float = 0.0
    strands: bool = False
    casts: bool = True
    two_sided: bool = False
    cut_out: bool = False

    def row(self) -> list[float]:
        """Numbers in the rasteriser's order."""
        flags = (self.strands, self.casts, self.two_sided, self.cut_out)
        return [*self.tint, self.specular, float(self.gloss), self.wrap, self.scatter, *map(float, flags)]


class Surfaces:
    """Materials as the arrays that a rasteriser reads: tables, and all textures behind one another."""

    def __init__(self, materials: list[Material]) -> None:
        if not all(1 <= m.kind <= 255 for m in materials):
            raise ValueError("a material's kind is 1 to 255; 0 is the background")
        places, at = [], 0
        for m in materials:
            height, width = m.texture.shape[:2]
            places.append((at, width, height))
            at += m.texture.size
        self.table = np.array([m.row() for m in materials], np.float32)
        self.textures = np.array(places, np.int32)
        self.texels = np.concatenate([np.ascontiguousarray(m.texture, np.uint8).ravel() for m in materials])
        self.kinds = np.array([m.kind for m in materials], np.uint8)


@dataclass(frozen=True)
class Mesh:
    """Triangles in camera space: x right, y up, z towards the viewer.

    Attributes:
        position, normal, tangent: `(V, 3)` float32; normals and tangents of length 1 (tangents count on strands only).
        uv: `(V, 2)` float32, `shade`: `(V,)` float32, how much of the sky a vertex sees, in [0, 1].
        triangles: `(F, 3)` int32, counterclockwise from outside; `material`: `(F,)` uint8, its row in `Surfaces`.
    """

    position: np.ndarray
    normal: np.ndarray
    tangent: np.ndarray
    uv: np.ndarray
    shade: np.ndarray
    triangles: np.ndarray
    material: np.ndarray


@dataclass(frozen=True)
class Light:
    """Directions towards the lights in camera space, of length 1, and their linear colours."""

    key: tuple[float, float, float]
    key_rgb: tuple[float, float, float]
    fill: tuple[float, float, float]
    fill_rgb: tuple[float, float, float]
    rim: tuple[float, float, float]
    rim_rgb: tuple[float, float, float]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]

    def rows(self) -> np.ndarray:
        """`(8, 3)` float32 in the rasteriser's order."""
        parts = (self.key, self.key_rgb, self.fill, self.fill_rgb, self.rim, self.rim_rgb, self.sky, self.ground)
        return np.array(parts, np.float32)


@dataclass(frozen=True)
class Camera:
    """A pinhole: focal length and centre in pixels, picture of `width` x `height`."""

    focal: float
    centre: tuple[float, float]
    width: int
    height: int

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels and nearness of points.

        Args:
            points: `(..., 3)` in camera space.

        Returns:
            `(..., 3)`: x, y (pixel centres at integers), and 1 / distance along the view, as `Picture.nearness` has it.
        """
        nearness = 1 / np.maximum(1e-3, -points[..., 2])
        x = self.focal * points[..., 0] * nearness + self.centre[0]
        y = self.centre[1] - self.focal * points[..., 1] * nearness
        return np.stack([x, y, nearness], axis=-1)


@dataclass(frozen=True)
class Picture:
    """What was drawn.

    Attributes:
        rgb: `(H, W, 3)` uint8.
        kinds: `(H, W)` uint8, the class that most samples of a pixel show.
        nearness: `(H * s, W * s)` float32, 1 / distance of what each sample shows, 0 of the background.
        front: `(H * s, W * s)` int32, the triangle that each sample shows, or -1.
    """

    rgb: np.ndarray
    kinds: np.ndarray
    nearness: np.ndarray = field(repr=False)
    front: np.ndarray = field(repr=False)
