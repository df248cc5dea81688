"""How a talking person moves: head, eyes, lids, brows, arms and hands, from a seed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from people.body.rig import Rig, reach, turned

# Curl of thumb and fingers.
HANDS = {
    "relaxed": (0.25, 0.30, 0.35, 0.40, 0.45),
    "open": (0.02, 0.03, 0.03, 0.06, 0.10),
    "pointing": (0.60, 0.02, 0.95, 1.00, 1.00),
    "fist": (0.70, 1.05, 1.10, 1.10, 1.10),
    "pinch": (0.55, 0.60, 0.30, 0.25, 0.25),
    "loose": (0.15, 0.15, 0.20, 0.30, 0.35),
}


@dataclass(frozen=True)
class Motion:
    """What moves in T frames, angles in radians.

    Attributes:
        head: `(T, 3)` yaw, pitch, roll against the chest; gaze `(T, 2)` yaw and pitch of the eyes against the head.
        sway: `(T, 3)` of the chest.
        face: `(T,)` by face unit, in [0, 1]: lids, brows, smile.
        wrists: `(T, 2, 3)` of the left and the right arm, relative to the chest at rest; twists `(T, 2)`, curls `(T, 2, 5)`, spreads `(T, 2)`.
    """

    head: np.ndarray
    gaze: np.ndarray
    sway: np.ndarray
    face: dict[str, np.ndarray]
    wrists: np.ndarray
    twists: np.ndarray
    curls: np.ndarray
    spreads: np.ndarray

    def held(self) -> "Motion":
        """The first moment for all of T frames."""

        def hold(values: np.ndarray) -> np.ndarray:
            return np.repeat(values[:1], len(values), axis=0)

        arrays = (self.wrists, self.twists, self.curls, self.spreads)
        return Motion(
            hold(self.head),
            hold(self.gaze),
            hold(self.sway),
            {k: hold(v) for k, v in self.face.items()},
            *map(hold, arrays),
        )


Change = Callable[[Motion, np.ndarray], tuple[Motion, np.ndarray]]
"""From motion and `(T, 17)` units of the mouth (`people.speech.visemes.UNITS`) to other ones of the same length."""


def keyed(
    rng: np.random.Generator, frames: int, fps: float, draw, move: tuple[float, float], rest: float
) -> np.ndarray:
    """Values that go from key to key with least jerk (Flash and Hogan 1985) and stay at each for up to `rest` seconds.

    Args:
        draw: gives the next key, a number or an array.
        move: least and greatest seconds between keys.
    """
    at = -rng.uniform(0, move[1])
    times: list[float] = []
    keys: list[np.ndarray] = []
    while at < frames / fps + move[1]:
        key, stay = np.asarray(draw(), float), rng.uniform(0, rest)
        times += [at, at + stay]
        keys += [key, key]
        at += stay + rng.uniform(*move)
    now, stamps, values = np.arange(frames) / fps, np.array(times), np.stack(keys)
    i = np.clip(np.searchsorted(stamps, now, "right") - 1, 0, len(stamps) - 2)
    s = np.clip((now - stamps[i]) / np.maximum(1e-6, stamps[i + 1] - stamps[i]), 0, 1)
    s = (s**3 * (10 - 15 * s + 6 * s**2)).reshape(-1, *[1] * (values.ndim - 1))
    return values[i] + s * (values[i + 1] - values[i])


def blinks(rng: np.random.Generator, frames: int, fps: float) -> np.ndarray:
    """`(T,)` in [0, 1]: lids shut for about 0.1 s every 1.5 to 4.5 s."""
    at, now, out = rng.uniform(-1, 3), np.arange(frames) / fps, np.zeros(frames)
    while at < frames / fps:
        out = np.maximum(out, np.clip(1.25 - np.abs(now - at) / 0.09, 0, 1))
        at += rng.uniform(1.5, 4.5)
    return out


def draw_motion(
    rng: np.random.Generator, frames: int, fps: float, rig: Rig, gestures: bool, hidden_hands: bool = False
) -> Motion:
    """Draw how somebody moves who talks to the camera.

    Args:
        rig: of the body, whose reach the gestures keep to.
        gestures: whether hands come up before the chest.
        hidden_hands: they stay behind the back.
    """
    turn = rng.normal(0, 0.10)
    head = np.stack(
        [
            keyed(rng, frames, fps, lambda: turn + rng.normal(0, 0.13), (0.35, 0.9), 0.4),
            keyed(rng, frames, fps, lambda: rng.normal(0.02, 0.07), (0.25, 0.7), 0.25),
            keyed(rng, frames, fps, lambda: rng.normal(0, 0.06), (0.4, 1.0), 0.3),
        ],
        axis=1,
    )
    away = keyed(
        rng, frames, fps, lambda: rng.normal(0, (0.10, 0.05)) if rng.random() < 0.4 else (0.0, 0.0), (0.05, 0.08), 1.2
    )
    gaze = away - head[:, :2] * [0.7, 0.7]  # eyes stay on the camera while the head turns
    smile = rng.uniform(0.02, 0.16) if rng.random() < 0.65 else rng.uniform(0.30, 0.55)
    lifted = keyed(rng, frames, fps, lambda: max(0.0, rng.normal(0.15, 0.25)), (0.2, 0.6), 0.3)
    lid = np.clip(blinks(rng, frames, fps) + rng.uniform(0.04, 0.12), 0, 1)
    smiling = np.clip(smile + keyed(rng, frames, fps, lambda: rng.normal(0, 0.05), (0.3, 0.9), 0.5), 0, 1)
    face = {"browInnerUp": 0.6 * lifted.clip(0, 1)}
    for side in ("Left", "Right"):
        face |= {
            f"eyeBlink{side}": lid,
            f"browOuterUp{side}": 0.7 * lifted.clip(0, 1),
            f"mouthSmile{side}": smiling,
            f"cheekSquint{side}": 0.6 * smiling,
        }
    sway = keyed(rng, frames, fps, lambda: rng.normal(0, (0.05, 0.025, 0.02)), (0.6, 1.4), 0.3)
    arms = [_arm(rng, frames, fps, rig, side, gestures and rng.random() < 0.75, hidden_hands) for side in ("L", "R")]
    wrists, twists, curls, spreads = (np.stack(parts, axis=1) for parts in zip(*arms, strict=True))
    return Motion(head, gaze, sway, face, wrists, twists, curls, spreads)


def _arm(rng, frames: int, fps: float, rig: Rig, side: str, up: bool, hidden: bool) -> tuple[np.ndarray, ...]:
    arm = rig.arms[side]
    length = float(np.linalg.norm(arm.upper) + np.linalg.norm(arm.fore))
    across = arm.sign * np.array([1.0, 0, 0])
    if hidden:
        at = arm.shoulder + across * -0.9 + np.array([0, -0.72 * length, -1.4])
        wrists = at + keyed(rng, frames, fps, lambda: rng.normal(0, 0.05, 3), (0.4, 0.9), 0.3)
    elif up:

        def place() -> np.ndarray:
            return (
                arm.shoulder
                + across * rng.uniform(-0.9, 0.9)
                + np.array([0, rng.uniform(-0.42, -0.10) * length, rng.uniform(0.38, 0.58) * length])
            )

        wrists = keyed(rng, frames, fps, place, (0.3, 0.7), 0.4)
    else:
        at = (
            arm.shoulder
            + across * rng.uniform(0.25, 0.5)
            + np.array([0, -0.93 * length, rng.uniform(0.05, 0.25) * length])
        )
        wrists = at + keyed(rng, frames, fps, lambda: rng.normal(0, 0.06, 3), (0.4, 0.9), 0.3)
    twists = keyed(rng, frames, fps, lambda: rng.uniform(-0.3, 1.2) if up else 0.2, (0.4, 0.9), 0.3)
    curls = keyed(
        rng, frames, fps, lambda: HANDS[str(rng.choice(list(HANDS)))] if up else HANDS["relaxed"], (0.3, 0.7), 0.5
    )
    return wrists, twists, curls, keyed(rng, frames, fps, lambda: rng.uniform(-0.2, 1.0), (0.4, 0.9), 0.3)


def turns_of(motion: Motion, rig: Rig) -> dict[str, np.ndarray]:
    """`(T, 3, 3)` rotations of the bones, as `Rig.matrices` takes them."""
    yaw, pitch, roll = motion.head.T
    look = turned(motion.gaze[:, 0], motion.gaze[:, 1], 0.0 * yaw)
    half = turned(*(0.5 * motion.sway.T))
    turns = {
        "spine03": half,
        "spine02": half,
        "neck01": turned(0.25 * yaw, 0.25 * pitch, 0.3 * roll),
        "neck02": turned(0.25 * yaw, 0.25 * pitch, 0.2 * roll),
        "head": turned(0.5 * yaw, 0.5 * pitch, 0.5 * roll),
        "eye.L": look,
        "eye.R": look,
    }
    for k, arm in enumerate((rig.arms["L"], rig.arms["R"])):
        outward = np.array([0.7 * arm.sign, -1.0, -0.35])
        turns |= reach(arm, motion.wrists[:, k], outward, motion.twists[:, k], motion.curls[:, k], motion.spreads[:, k])
    return turns
