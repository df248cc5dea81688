"""What all bodies share: the base mesh, its surfaces, shapes, face units, rig and named points, read once from the pack."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from people import pack
from people.pack import STEP

FACE = slice(23, 91)  # of the 133 COCO-WholeBody points
HANDS = {"L": slice(91, 112), "R": slice(112, 133)}


@dataclass(frozen=True)
class Surface:
    """A textured part of the base mesh: `source` (n,) base vertices, `uv` (n, 2) with row 0 at v = 0, `triangles` (f, 3) of the n."""

    source: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray


@dataclass(frozen=True)
class Offsets:
    """A shape: it moves base vertices `index` (n,) by `offset` (n, 3) decimetres."""

    index: np.ndarray
    offset: np.ndarray


@dataclass(frozen=True)
class Anatomy:
    """The pack, typed. Lengths are decimetres, y is up, z to the front, +x the person's left.

    Attributes:
        base: `(V, 3)` float32 vertices of the mesh that shapes start from.
        surfaces: by name: skin, shirt (a fitting garment), eye.L, eye.R, upper_teeth, lower_teeth, tongue, lashes.
        targets, units: shapes by name; the 52 units are ARKit's face movements.
        bones, weights: `(V, 4)` int32 and float32.
        bone_names, parents: B names, `(B,)` with parents before children and -1 at the root.
        bone_heads, bone_tails: `(B, 8)` vertices whose means are the ends.
        joints: by name, vertices whose mean is a joint.
        body_points: `(23, 16)` vertices whose means are COCO's body and foot points; face_points `(68,)`.
        masks: by name, `(1024, 1024)` float32 in the skin's texture.
    """

    base: np.ndarray
    surfaces: dict[str, Surface]
    targets: dict[str, Offsets]
    units: dict[str, Offsets]
    bones: np.ndarray
    weights: np.ndarray
    bone_names: tuple[str, ...]
    parents: np.ndarray
    bone_heads: np.ndarray
    bone_tails: np.ndarray
    joints: dict[str, np.ndarray]
    body_points: np.ndarray
    face_points: np.ndarray
    masks: dict[str, np.ndarray]

    def joint(self, name: str, vertices: np.ndarray) -> np.ndarray:
        """`(3,)` place of a joint, such as "l-eye", in a body's rest vertices."""
        return vertices[self.joints[f"joint-{name}"]].mean(axis=0)


@cache
def anatomy() -> Anatomy:
    """The anatomy of this installation's pack."""
    p = pack.load()
    weights = p["weights"].astype(np.float32) / np.float32(65535)
    surfaces = {
        name: Surface(
            p[f"{name}/source"].astype(np.int64),
            p[f"{name}/uv"].astype(np.float32) / 65535,
            p[f"{name}/triangles"].astype(np.int64),
        )
        for name in (key.removesuffix("/source") for key in p if key.endswith("/source"))
    }
    return Anatomy(
        base=(p["base"] / 1e4).astype(np.float32),
        surfaces=surfaces,
        targets=_offsets(p, "target"),
        units=_offsets(p, "unit"),
        bones=p["bones"].astype(np.int32),
        weights=weights,
        bone_names=tuple(str(n) for n in p["bone_names"]),
        parents=p["bone_parents"].astype(int),
        bone_heads=p["bone_heads"].astype(int),
        bone_tails=p["bone_tails"].astype(int),
        joints={str(n): v.astype(int) for n, v in zip(p["joint_names"], p["joints"], strict=True)},
        body_points=p["body_points"].astype(int),
        face_points=p["face_points"].astype(int),
        masks={key.removeprefix("mask/"): p[key].astype(np.float32) / 255 for key in p if key.startswith("mask/")},
    )


def _offsets(p: dict[str, np.ndarray], prefix: str) -> dict[str, Offsets]:
    ends = np.cumsum(p[f"{prefix}_counts"])
    found = {}
    for name, count, end in zip(p[f"{prefix}_names"], p[f"{prefix}_counts"], ends, strict=True):
        part = slice(end - count, end)
        found[str(name)] = Offsets(
            np.cumsum(p[f"{prefix}_gaps"][part].astype(np.int64)),
            p[f"{prefix}_steps"][part].astype(np.float32) * np.float32(STEP),
        )
    return found
