"""Draw, skin and shade: by the compiled rasteriser where there is a compiler, by the NumPy reference elsewhere."""

import ctypes
import warnings
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from people.raster import reference
from people.raster.compiled import CompilerError, compiler, library, pointer
from people.raster.scene import CURVE, LINEAR, Camera, Light, Mesh, Picture, Surfaces

Backend = Literal["compiled", "reference"]
SHADOW_BIAS = 0.05  # decimetres: nearer than this a surface does not shadow itself
_NO_SHADOW = np.zeros((1, 1), np.float32), np.zeros((3, 3), np.float32), np.zeros(4, np.float32), 0
f32, i32, u8 = np.float32, np.int32, np.uint8


@dataclass(frozen=True)
class Focus:
    """What the key light's depth map holds: a centre in camera space, and how far it reaches to each side."""

    centre: tuple[float, float, float]
    reach: float

    @classmethod
    def of(cls, mesh: Mesh) -> "Focus":
        """The whole of a mesh."""
        low, high = mesh.position.min(axis=0), mesh.position.max(axis=0)
        x, y, z = (float(v) for v in (low + high) / 2)
        return cls((x, y, z), float(np.sqrt(((high - low) ** 2).sum())) / 2)


@cache
def backend() -> Backend:
    """Which of the two draws here. Says once that it will be slow, where there is no compiler.

    Raises:
        CompilerError: there is a compiler, and it cannot build the rasteriser.
    """
    if compiler() is None:
        warnings.warn("no C++ compiler: people are drawn by NumPy, about ten times as slow; install g++", stacklevel=2)
        return "reference"
    library()
    return "compiled"


def skin(
    rest: np.ndarray,
    bones: np.ndarray,
    weights: np.ndarray,
    matrices: np.ndarray,
    turn: bool = False,
    by: Backend | None = None,
) -> np.ndarray:
    """Linear blend skinning.

    Args:
        rest: `(n, 3)` float32 vertices, or directions with `turn`.
        bones, weights: `(n, 4)` int32 and float32.
        matrices: `(bones, 3, 4)` float32.
        turn: rotate only.
    """
    if (by or backend()) == "reference":
        return reference.skin(rest, bones, weights, matrices, turn)
    out = np.empty_like(rest)
    args = pointer(rest, f32), pointer(bones, i32), pointer(weights, f32), pointer(matrices, f32)
    library().skin(*args, len(rest), int(turn), pointer(out, f32))
    return out


def normals(vertices: np.ndarray, triangles: np.ndarray, by: Backend | None = None) -> np.ndarray:
    """`(n, 3)` float32 unit normals of `(n, 3)` vertices: sums of the triangles' at their corners."""
    if (by or backend()) == "reference":
        return reference.normals(vertices, triangles)
    out = np.empty_like(vertices)
    library().normals(pointer(vertices, f32), len(vertices), pointer(triangles, i32), len(triangles), pointer(out, f32))
    return out


def _depth_map(
    mesh: Mesh, surfaces: Surfaces, axes: np.ndarray, frame: np.ndarray, size: int, by: Backend
) -> np.ndarray:
    if by == "reference":
        parts = mesh.uv, mesh.triangles, mesh.material, surfaces.table, surfaces.textures, surfaces.texels
        return reference.depth_map(mesh.position, axes, frame, *parts, size)
    out = np.empty((size, size), f32)
    library().depth_map(
        pointer(mesh.position, f32), len(mesh.position), pointer(axes, f32), pointer(frame, f32), pointer(mesh.uv, f32),
        pointer(mesh.triangles, i32), pointer(mesh.material, u8), len(mesh.triangles), pointer(surfaces.table, f32),
        pointer(surfaces.textures, i32), pointer(surfaces.texels, u8), size, pointer(out, f32),
    )  # fmt: skip
    return out


def _axes_towards(direction: np.ndarray) -> np.ndarray:
    """`(3, 3)` float32 rows: right, up, and `direction`, for whoever looks from there."""
    side = np.cross([0.0, 1.0, 0.0] if abs(direction[1]) < 0.98 else [0.0, 0.0, 1.0], direction)
    side /= np.sqrt((side * side).sum())
    return np.stack([side, np.cross(direction, side), direction]).astype(f32)


def _onto(axes: np.ndarray, points: np.ndarray) -> np.ndarray:
    # Written out: a matrix product may be summed in another order on another machine.
    x, y, z = points[:, 0], points[:, 1], points[:, 2]
    return np.stack([axes[k, 0] * x + axes[k, 1] * y + axes[k, 2] * z for k in range(3)], axis=1)


def _shadow(mesh: Mesh, surfaces: Surfaces, light: Light, focus: Focus | None, size: int, by: Backend):
    """Depth map of the key light over the focus: (map, axes, (left, bottom, scale, bias), size)."""
    if size == 0:
        return _NO_SHADOW
    focus = focus or Focus.of(mesh)
    axes = _axes_towards(np.asarray(light.key, float))
    middle = _onto(axes, np.array([focus.centre], f32))[0]
    scale = (size - 2) / (2 * focus.reach)
    frame = np.array(
        [middle[0] - focus.reach - 1 / scale, middle[1] - focus.reach - 1 / scale, scale, SHADOW_BIAS], f32
    )
    return _depth_map(mesh, surfaces, axes, frame, size, by), axes, frame, size


def render(
    mesh: Mesh,
    surfaces: Surfaces,
    light: Light,
    camera: Camera,
    background: np.ndarray,
    samples: int = 2,
    shadow: int = 256,
    focus: Focus | None = None,
    by: Backend | None = None,
) -> Picture:
    """Draw one picture.

    Args:
        mesh, surfaces, light, camera: what is drawn, how it looks, who looks.
        background: `(H, W, 3)` float32, linear light.
        samples: per pixel and axis.
        shadow: side of the key light's depth map in cells; 0 draws no shadows.
        focus: where shadows fall; None is the whole mesh.
        by: "compiled" or "reference"; None takes what `backend` says.
    """
    by = by or backend()
    rows = light.rows()
    depth, axes, frame, size = _shadow(mesh, surfaces, light, focus, shadow, by)
    if by == "reference":
        return Picture(
            *reference.draw(
                mesh, surfaces, LINEAR, CURVE, rows, (depth, axes, frame, size), camera, samples, background
            )
        )
    width, height = camera.width, camera.height
    rgb, kinds = np.empty((height, width, 3), u8), np.empty((height, width), u8)
    nearness = np.empty((height * samples, width * samples), f32)
    front = np.empty((height * samples, width * samples), i32)
    number = ctypes.c_float
    library().draw(
        pointer(mesh.position, f32), pointer(mesh.normal, f32), pointer(mesh.tangent, f32), pointer(mesh.uv, f32), pointer(mesh.shade, f32),
        len(mesh.position), pointer(mesh.triangles, i32), pointer(mesh.material, u8), len(mesh.triangles), pointer(surfaces.table, f32),
        pointer(surfaces.textures, i32), pointer(surfaces.texels, u8), pointer(surfaces.kinds, u8), pointer(LINEAR, f32), pointer(CURVE, u8),
        pointer(rows, f32), pointer(depth, f32), pointer(axes, f32), pointer(frame, f32), size, number(camera.focal),
        number(camera.centre[0]), number(camera.centre[1]), width, height, samples, pointer(background, f32), pointer(rgb, u8),
        pointer(kinds, u8), pointer(nearness, f32), pointer(front, i32),
    )  # fmt: skip
    return Picture(rgb, kinds, nearness, front)


def openness(
    mesh: Mesh, surfaces: Surfaces, directions: int = 24, size: int = 96, bias: float = 0.08, by: Backend | None = None
) -> np.ndarray:
    """`(V,)` float32 in [0, 1]: which share of the sky each vertex sees past the rest of the mesh, more of it straight ahead.

    Directions lie on a Fibonacci sphere; of each, a depth map of `size` cells says whom it reaches.
    """
    by = by or backend()
    seen, whole = np.zeros(len(mesh.position), f32), np.zeros(len(mesh.position), f32)
    position, normal = np.ascontiguousarray(mesh.position.T), np.ascontiguousarray(mesh.normal.T)
    for axes in _sphere(directions):
        weight = np.maximum(f32(0), axes[2, 0] * normal[0] + axes[2, 1] * normal[1] + axes[2, 2] * normal[2])
        x, y, z = (axes[k, 0] * position[0] + axes[k, 1] * position[1] + axes[k, 2] * position[2] for k in range(3))
        left, bottom = x.min(), y.min()
        scale = f32(size - 2) / max(x.max() - left, y.max() - bottom)
        frame = np.array([left - 1 / scale, bottom - 1 / scale, scale, 0], f32)
        depth = _depth_map(mesh, surfaces, axes, frame, size, by)
        column, row = (
            np.clip((at - low) * scale + f32(0.5), 0, size - 1).astype(np.int32)
            for at, low in ((x, frame[0]), (y, frame[1]))
        )
        seen += weight * (z + f32(bias) >= depth.ravel()[row * size + column])
        whole += weight
    return seen / np.maximum(whole, f32(1e-6))


@cache
def _sphere(directions: int) -> tuple[np.ndarray, ...]:
    """Axes towards directions that are spread evenly over the sphere (Fibonacci's lattice)."""
    found = []
    for k in range(directions):
        y, around = 1 - 2 * (k + 0.5) / directions, k * np.pi * (3 - np.sqrt(5))
        found.append(
            _axes_towards(np.array([np.sqrt(1 - y * y) * np.cos(around), y, np.sqrt(1 - y * y) * np.sin(around)]))
        )
    return tuple(found)


__all__ = ["Backend", "CompilerError", "Focus", "backend", "normals", "openness", "render", "skin"]
