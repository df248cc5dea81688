"""One identity's body: its mesh with hair and clothes, built once, and posed for every frame."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

from people.body import garment as clothes
from people.body.anatomy import anatomy
from people.body.beard import beard_part
from people.body.collar import collar_part
from people.body.glasses import glasses_part
from people.body.hair import hair_parts
from people.body.materials import materials_of
from people.body.part import Part
from people.body.rig import Rig
from people.body.shape import shaped
from people.body.strand_cards import Ground
from people.identity import Identity
from people.looks.skin import WINDOW, window_uv
from people.raster import Material, Mesh, Surfaces, openness
from people.raster import draw as raster

# Places are rounded to this many steps a decimetre: machines whose sine differs in its last bit draw the same picture.
ROUNDING = np.float32(8192)


@dataclass(frozen=True)
class Moment:
    """One frame's body, in the axes into which its bones were posed (a camera's).

    Attributes:
        base: `(V, 3)` posed base vertices (those that the body keeps; see `Body.number`).
        position, normal, tangent: `(n, 3)` float32 of the drawn mesh.
        bones: `(B, 3, 4)` where each bone carries a point of the body at rest.
    """

    base: np.ndarray
    position: np.ndarray
    normal: np.ndarray
    tangent: np.ndarray
    bones: np.ndarray


class Body:
    """The mesh of one identity.

    Attributes:
        who: whose it is.
        rig: its bones at rest.
        surfaces: its materials, for the rasteriser.
        shut_gap: decimetres by which the inner lip points stand apart where lips touch.
        number: `(V,)` of base vertices, where each lies in `Moment.base`, -1 where it is not kept.
        uv, shade, triangles, material: of the drawn mesh, as in `Mesh`.
    """

    def __init__(self, who: Identity, texture: int = 256) -> None:
        a = anatomy()
        self.who, self.fine = who, texture > 256
        rest = shaped(who)
        welded = np.concatenate([s.source[s.triangles] for s in a.surfaces.values()]).astype(np.int32)
        normals = raster.normals(rest, np.ascontiguousarray(welded))
        used, places = clothes.loosened(rest, normals, who.garment)
        rest = rest.copy()
        rest[used] = places
        self.rig = Rig(rest)
        top, bottom = rest[a.face_points[[62, 66]], 1]
        self.shut_gap = float(top - bottom)
        materials = materials_of(who, texture)
        parts = self._parts(who, rest, normals, used, materials)
        self.surfaces = Surfaces([p.material for p in parts])
        self._join(parts, rest)
        self.shade = self._shading(parts, rest)

    def _parts(
        self, who: Identity, rest: np.ndarray, normals: np.ndarray, worn: np.ndarray, materials: dict[str, Material]
    ) -> list[Part]:
        a = anatomy()
        hidden = clothes.covered(who.garment)
        skin = a.surfaces["skin"]
        uv = window_uv(skin.uv)
        shown = ~hidden[skin.source][skin.triangles].all(axis=1)
        inner = a.masks["inside-mouth"]
        pixel = np.clip((skin.uv * len(inner)).astype(int), 0, len(inner) - 1)
        mouth = (inner[pixel[:, 1], pixel[:, 0]] > 0.5)[skin.triangles].all(axis=1)
        head = np.all((uv > 0.002) & (uv < 0.998), axis=1)[skin.triangles].all(axis=1)
        parts: list[Part | None] = [
            _of_base(materials["head"], rest, skin.source, uv, skin.triangles[shown & head]),
            _of_base(materials["skin"], rest, skin.source, skin.uv, skin.triangles[shown & ~head & ~mouth]),
            _of_base(materials["mouth"], rest, skin.source, skin.uv, skin.triangles[mouth]),
        ]
        for name in ("eye.L", "eye.R"):
            eye = a.surfaces[name]
            parts.append(_of_base(materials["eye"], rest, eye.source, _front_uv(rest[eye.source]), eye.triangles))
        for name in ("upper_teeth", "lower_teeth", "tongue", "lashes"):
            part = a.surfaces[name]
            parts.append(_of_base(materials[name], rest, part.source, _stretched(part.uv), part.triangles))
        parts.append(_of_base(materials["cloth"], rest, *clothes.cloth_surface(who.garment)))
        parts.append(collar_part(who, rest, materials["collar"]))
        near = np.concatenate(
            [np.unique(skin.source[(a.base[skin.source, 1] > 3.0) & ~hidden[skin.source]]), worn[a.base[worn, 1] > 3.0]]
        )
        ground = Ground(rest[near], normals[near], cKDTree(rest[near]), float(rest[a.face_points[8], 1]))
        parts += hair_parts(who, rest, normals, ground, materials["strands"], materials["scalp"], self.fine)
        parts.append(beard_part(who, rest, normals, materials["beard"]))
        if who.glasses != "none":
            parts.append(glasses_part(who.glasses, rest, materials["glasses"]))
        return [p for p in parts if p is not None]

    def _join(self, parts: list[Part], rest: np.ndarray) -> None:
        """One list of vertices: kept base vertices, then those that parts have of their own."""
        a = anatomy()
        named = (a.body_points, a.face_points, a.bone_heads, a.bone_tails, *a.joints.values())
        keep = np.zeros(len(rest), bool)
        keep[np.concatenate([np.ravel(n) for n in named])] = True
        for part in parts:
            keep[part.follows[part.follows >= 0]] = True
        self.number = np.where(keep, np.cumsum(keep) - 1, -1)
        kept = np.flatnonzero(keep)
        own = [p for p in parts if p.normal is not None]
        self._own = slice(len(kept), len(kept) + sum(len(p.rest) for p in own))
        self._rest = np.ascontiguousarray(np.concatenate([rest[kept], *(p.rest for p in own)]), np.float32)
        self._bones = np.ascontiguousarray(np.concatenate([a.bones[kept], *(p.bones for p in own)]), np.int32)
        self._weights = np.ascontiguousarray(np.concatenate([a.weights[kept], *(p.weights for p in own)]), np.float32)
        none = np.zeros((0, 3), np.float32)
        self._own_normal = _rows([none, *(p.normal for p in own)])
        self._own_tangent = _rows([none, *(np.zeros_like(p.rest) if p.tangent is None else p.tangent for p in own)])
        self._follows = np.concatenate(
            [self.number[kept], *(np.where(p.follows >= 0, self.number[p.follows], -1) for p in own)]
        )
        sources, uv, shade, triangles, material, welded, drawn, at = [], [], [], [], [], [], 0, len(kept)
        for k, part in enumerate(parts):
            if part.normal is None:
                source = self.number[part.follows]
                welded.append(source[part.triangles])
            else:
                source = at + np.arange(len(part.rest))
                at += len(part.rest)
            used, local = np.unique(part.triangles, return_inverse=True)
            sources.append(source[used])
            uv.append(part.uv[used])
            shade.append(part.shade[used])
            triangles.append(local.reshape(-1, 3) + drawn)
            material.append(np.full(len(part.triangles), k, np.uint8))
            drawn += len(used)
        self._source, self._part_shade = np.concatenate(sources), np.concatenate(shade)
        self.uv, self.triangles = _rows(uv), np.ascontiguousarray(np.concatenate(triangles), np.int32)
        self.material = np.concatenate(material)
        self._welded = np.ascontiguousarray(np.concatenate(welded), np.int32)
        self._units(a, kept)

    def _units(self, a, kept: np.ndarray) -> None:
        """Face units as one dense matrix over the vertices that any of them moves."""
        self.unit_names = tuple(a.units)
        moved = np.unique(np.concatenate([u.index for u in a.units.values()]))
        moved = moved[self.number[moved] >= 0]
        place = np.full(len(self.number), -1)
        place[moved] = np.arange(len(moved))
        self._unit_matrix = np.zeros((len(a.units), len(moved), 3), np.float32)
        for k, unit in enumerate(a.units.values()):
            inside = place[unit.index] >= 0
            self._unit_matrix[k, place[unit.index[inside]]] = unit.offset[inside]
        # Units are made for the base mesh's face; a longer or wider face moves as much farther.
        face, base = self._rest[self.number[a.face_points]], a.base[a.face_points]
        self._unit_matrix *= (np.ptp(face, axis=0) / np.ptp(base, axis=0)).astype(np.float32)
        slot = np.full(len(kept), -1)
        slot[self.number[moved]] = np.arange(len(moved))
        follows = np.where(self._follows >= 0, slot[self._follows], -1)
        self._moving = np.flatnonzero(follows >= 0)
        self._moves_as = follows[self._moving]

    def _shading(self, parts: list[Part], rest: np.ndarray) -> np.ndarray:
        """`(n,)` share of the sky at rest, times what parts say of themselves; mouths darken with depth."""
        at_rest = self.pose(np.zeros(len(self.unit_names), np.float32), self.rig.matrices({}, np.eye(4)[None, :3])[0])
        whole = Mesh(
            at_rest.position,
            at_rest.normal,
            at_rest.tangent,
            self.uv,
            np.ones(len(self.uv), np.float32),
            self.triangles,
            self.material,
        )
        shade = openness(whole, self.surfaces, directions=16, size=64)
        lips = rest[anatomy().face_points[[51, 57]], 2].max()
        depth = np.clip(lips - 0.10 - at_rest.position[:, 2], 0, None)
        owner = np.empty(len(self.uv), int)
        owner[self.triangles.reshape(-1)] = np.repeat(self.material, 3)
        by_name = {name: owner == k for k, part in enumerate(parts) for name in [part.material.name]}
        shade = 0.25 + 0.75 * shade
        for name, light, fall in (("teeth", 0.9, 1.5), ("tongue", 0.55, 1.8), ("mouth", 0.7, 3.2)):
            chosen = np.isin(owner, [k for k, p in enumerate(parts) if p.material.name == name])
            shade[chosen] = light * np.exp(-fall * depth[chosen])
        eyes = np.isin(owner, [k for k, p in enumerate(parts) if p.material.name == "eye"])
        shade[eyes] = np.clip(shade[eyes] * 1.25, 0.55, 1)
        if "lashes" in by_name:
            shade[by_name["lashes"]] = 1
        return np.ascontiguousarray(shade * self._part_shade, np.float32)

    def pose(self, units: np.ndarray, bones: np.ndarray) -> Moment:
        """Move the face by `(52,)` units in [0, 1] and the body by `(B, 3, 4)` bones."""
        moved = self._rest.copy()
        active = np.flatnonzero(units)
        if len(active):
            offset = np.zeros(self._unit_matrix.shape[1:], np.float32)
            for k in active:  # in order, not by a matrix product: the same sum on every machine
                offset += np.float32(units[k]) * self._unit_matrix[k]
            moved[self._moving] += offset[self._moves_as]
        posed = raster.skin(moved, self._bones, self._weights, bones)
        posed = np.round(posed * ROUNDING) / ROUNDING
        count = self._own.start
        normal, tangent = np.empty_like(posed), np.zeros_like(posed)
        normal[:count] = raster.normals(np.ascontiguousarray(posed[:count]), self._welded)
        own = np.ascontiguousarray(self._bones[self._own]), np.ascontiguousarray(self._weights[self._own])
        normal[count:] = raster.skin(self._own_normal, *own, bones, True)
        tangent[count:] = raster.skin(self._own_tangent, *own, bones, True)
        position, normal, tangent = (
            np.take(part, self._source, axis=0) for part in (posed, normal, tangent)
        )  # much faster than by index
        return Moment(posed[:count], position, normal, tangent, bones)


def _of_base(material, rest: np.ndarray, source: np.ndarray, uv: np.ndarray, triangles: np.ndarray) -> Part:
    a = anatomy()
    return Part(
        material,
        rest[source],
        None,
        None,
        a.bones[source],
        a.weights[source],
        source,
        uv,
        triangles,
        np.ones(len(source)),
    )


def _rows(parts: list) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate(parts), np.float32)


def _front_uv(places: np.ndarray) -> np.ndarray:
    """Texture places of an eyeball as seen from the front."""
    low, high = places.min(axis=0), places.max(axis=0)
    middle, half = (low + high) / 2, (high - low)[:2].max() / 2
    return (0.5 + 0.5 * (places[:, :2] - middle[:2]) * [1, -1] / half).clip(0.002, 0.998)


def _stretched(uv: np.ndarray) -> np.ndarray:
    low, high = uv.min(axis=0), uv.max(axis=0)
    return (uv - low) / np.maximum(high - low, 1e-6)


@lru_cache(maxsize=8)
def body_of(who: Identity, texture: int = 256) -> Body:
    """The body of an identity; the last few are kept, for more clips of the same person."""
    return Body(who, texture)


__all__ = ["WINDOW", "Body", "Moment", "body_of"]
