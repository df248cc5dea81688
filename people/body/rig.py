"""Bones: where they lie in a body, how they turn, and arms that reach for a place."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from people.body.anatomy import anatomy

Side = Literal["L", "R"]


def rotation(axis: np.ndarray | tuple[float, float, float], angle: np.ndarray | float) -> np.ndarray:
    """`(..., 3, 3)` rotations by `(...)` angles in radians around one axis (Rodrigues)."""
    x, y, z = np.asarray(axis, float) / np.sqrt(np.sum(np.square(axis)))
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn = np.asarray(angle, float)[..., None, None]
    return np.eye(3) + np.sin(turn) * k + (1 - np.cos(turn)) * (k @ k)


def turned(yaw: np.ndarray | float, pitch: np.ndarray | float, roll: np.ndarray | float) -> np.ndarray:
    """`(..., 3, 3)`: roll first, then pitch (down is positive), then yaw (to the person's left is positive), in radians."""
    return rotation((0, 1, 0), yaw) @ rotation((1, 0, 0), pitch) @ rotation((0, 0, 1), roll)


def angles_of(matrix: np.ndarray) -> np.ndarray:
    """`(..., 3)` yaw, pitch and roll in radians of rotations made by `turned`."""
    yaw = np.arctan2(matrix[..., 0, 2], matrix[..., 2, 2])
    pitch = np.arcsin(np.clip(-matrix[..., 1, 2], -1, 1))
    return np.stack([yaw, pitch, np.arctan2(matrix[..., 1, 0], matrix[..., 1, 1])], axis=-1)


@dataclass(frozen=True)
class Arm:
    """One arm at rest: shoulder `(3,)`, vectors to elbow and wrist, palm's normal, and each finger's axis of curling."""

    side: Side
    sign: float
    shoulder: np.ndarray
    upper: np.ndarray
    fore: np.ndarray
    palm: np.ndarray
    curls: tuple[np.ndarray, ...]


class Rig:
    """The bones of one body at rest, from its vertices `(V, 3)`."""

    def __init__(self, rest: np.ndarray) -> None:
        a = anatomy()
        self.names, self.parents = a.bone_names, a.parents
        self.index = {name: k for k, name in enumerate(a.bone_names)}
        self.heads = rest[a.bone_heads].mean(axis=1).astype(np.float64)
        self.tails = rest[a.bone_tails].mean(axis=1).astype(np.float64)
        # An eye turns about its own centre.
        for side in ("L", "R"):
            self.heads[self.index[f"eye.{side}"]] = a.joint(f"{side.lower()}-eye", rest)
        self.arms = {side: self._arm(side) for side in ("L", "R")}

    def head_of(self, bone: str) -> np.ndarray:
        """`(3,)` where a bone begins."""
        return self.heads[self.index[bone]]

    def matrices(self, turns: dict[str, np.ndarray], root: np.ndarray) -> np.ndarray:
        """Pose the bones in T frames.

        Args:
            turns: `(T, 3, 3)` rotations by bone, in the axes of the body at rest, about the bone's head.
            root: `(T, 3, 4)` placement of the whole body.

        Returns:
            `(T, B, 3, 4)` float32: where each bone carries a point of the body at rest.
        """
        out = np.empty((len(root), len(self.names), 3, 4))
        for b, (name, parent) in enumerate(zip(self.names, self.parents, strict=True)):
            above = out[:, parent] if parent >= 0 else root
            turn = turns.get(name)
            if turn is None:
                out[:, b] = above
            else:
                away = self.heads[b] - turn @ self.heads[b]
                out[:, b, :, :3] = above[..., :3] @ turn
                out[:, b, :, 3] = (above[..., :3] @ away[..., None])[..., 0] + above[..., 3]
        return out.astype(np.float32)

    def hand_points(self, matrices: np.ndarray, side: Side) -> np.ndarray:
        """`(21, 3)` wrist, then four points from knuckle to tip of thumb and fingers, as COCO-WholeBody orders them."""
        bones = [f"wrist.{side}"] + [f"finger{f}-{k}.{side}" for f in range(1, 6) for k in (1, 2, 3, 3)]
        places = []
        for k, bone in enumerate(bones):
            b = self.index[bone]
            end = self.tails[b] if k and k % 4 == 0 else self.heads[b]
            places.append(matrices[b, :, :3] @ end + matrices[b, :, 3])
        return np.stack(places)

    def _arm(self, side: Side) -> Arm:
        def at(bone: str, end: np.ndarray) -> np.ndarray:
            return end[self.index[f"{bone}.{side}"]]

        shoulder, elbow, wrist = (at(bone, self.heads) for bone in ("upperarm01", "lowerarm01", "wrist"))
        first, last, middle = at("finger2-1", self.heads), at("finger5-1", self.heads), at("finger3-1", self.heads)
        palm = np.cross(first - wrist, last - wrist)
        palm /= np.linalg.norm(palm)
        along, bent = middle - wrist, at("finger3-3", self.tails) - middle
        if (bent - along * (bent @ along) / (along @ along)) @ palm < 0:  # fingers at rest bend towards the palm
            palm = -palm
        curls = []
        for f in range(1, 6):
            reach = at(f"finger{f}-3", self.heads) - at(f"finger{f}-2", self.heads)
            if f > 1:
                towards = palm
            else:  # the thumb closes across the palm
                across = np.cross(reach, palm)
                towards = 0.6 * across * np.sign(across @ (last - first)) / np.linalg.norm(across) + 0.5 * palm
            curls.append(np.cross(reach, towards))
        return Arm(side, 1.0 if side == "L" else -1.0, shoulder, elbow - shoulder, wrist - elbow, palm, tuple(curls))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=-1, keepdims=True)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    (a0, a1, a2), (b0, b1, b2) = np.moveaxis(a, -1, 0), np.moveaxis(b, -1, 0)
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], axis=-1)


def _basis(along: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """`(..., 3, 3)` columns: along, what of `beside` is square to it, and their cross product."""
    x = _unit(along)
    y = _unit(beside - x * _dot(x, beside))
    return np.stack([x, y, _cross(x, y)], axis=-1)


def reach(
    arm: Arm, wrist: np.ndarray, elbow_towards: np.ndarray, twist: np.ndarray, curl: np.ndarray, spread: np.ndarray
) -> dict[str, np.ndarray]:
    """Turn one arm's bones so that its wrist comes to a place, by two-bone inverse kinematics, in T frames.

    Args:
        arm: the arm at rest.
        wrist: `(T, 3)` where to, in the axes of the torso at rest; what lies too far or too near is brought within reach.
        elbow_towards: `(3,)` the side on which the elbow stands out.
        twist: `(T,)` radians of the hand about the forearm.
        curl: `(T, 5)` of thumb and fingers, 0 straight, 1 a fist. spread: `(T,)` of the fingers.
    """
    first, second = np.linalg.norm(arm.upper), np.linalg.norm(arm.fore)
    way = wrist - arm.shoulder
    distance = np.clip(np.sqrt(_dot(way, way)), abs(first - second) + 0.3, first + second - 0.05)
    way = _unit(way)
    along = (first**2 - second**2 + distance**2) / (2 * distance)
    out = _unit(elbow_towards - way * _dot(elbow_towards + 0 * way, way))
    upper = way * along + out * np.sqrt(np.maximum(1e-6, first**2 - along**2))
    fore = way * distance - upper
    hinge = _cross(upper, fore)
    at_rest = np.cross(arm.fore, (0, 0, 1.0))
    upper_turn = _basis(upper, hinge) @ _basis(arm.upper, at_rest).T
    fore_turn = _basis(fore, hinge) @ _basis(arm.fore, at_rest).T
    side = arm.side
    half = rotation(arm.fore, 0.5 * arm.sign * twist)
    turns = {f"upperarm01.{side}": upper_turn, f"lowerarm01.{side}": np.swapaxes(upper_turn, -1, -2) @ fore_turn}
    turns |= {f"lowerarm02.{side}": half, f"wrist.{side}": half}
    for finger in range(1, 6):
        for k, amount in enumerate((0.9, 1.35, 0.8) if finger > 1 else (0.35, 0.5, 0.6)):
            turn = rotation(arm.curls[finger - 1], amount * curl[:, finger - 1])
            if k == 0 and finger > 1:
                turn = rotation(arm.palm, arm.sign * spread * (finger - 3.5) * 0.12) @ turn
            turns[f"finger{finger}-{k + 1}.{side}"] = turn
    return turns
