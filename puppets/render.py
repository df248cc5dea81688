"""Draw a puppet clip from a seed: pixels, sound, caption, and the labels that are true of it."""

import json
import zlib
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from puppets.identity import Identity, draw_identity
from puppets.pose import SHOULDERS, draw_pose
from puppets.speech import SAMPLE_RATE, draw_speech, mouth_opening

SIZE = 64
FPS = 16.0
KINDS = ("clean", "wrong_sync", "hidden_arms", "still", "hard_cut", "overlay_text", "no_audio")

# Centre (x, y) and half axes in pixels, before the head's offset.
SKULL = np.array([32.0, 20.0]), np.array([14.5, 15.5])  # the hair
HEAD = np.array([32.0, 24.0]), np.array([12.5, 14.0])  # the skin, drawn over it
EYES = np.array([[26.5, 19.0], [37.5, 19.0]])
EYE_RADIUS = 1.6
MOUTH_CENTRE = np.array([32.0, 29.0])
MOUTH_HALF_WIDTH = 5.5
MOUTH_CLOSED, MOUTH_OPEN = 0.9, 4.9  # half heights in pixels; thinner closed mouths read back badly
MOUTH_COLOUR = np.array([0.16, 0.09, 0.09])
DISC_RADIUS = 2.8
# left elbow red, left wrist green, right elbow blue, right wrist yellow: saturation 1, separable by channel arithmetic
DISC_COLOURS = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1.0, 1.0, 0]])

_SCALE = 4  # supersampling
_SHIFT = 4  # cv2 fixed-point bits


@dataclass(frozen=True)
class Puppet:
    """One rendered clip.

    Attributes:
        frames: `(T, 64, 64, 3)` uint8 RGB.
        audio: `(S,)` float32 at 16 kHz, or None for kind `no_audio`.
        fps: frames per second.
        caption: what is seen.
        opening: `(T,)` mouth opening in [0, 1], as drawn.
        joints: `(T, 4, 2)` disc centres (x, y) in pixels; NaN where not drawn.
        colours: `(4, 3)` RGB in [0, 1] of hair, skin, shirt, wall.
        kind, seed: how to make it again.
    """

    frames: np.ndarray
    audio: np.ndarray | None
    fps: float
    caption: str
    opening: np.ndarray
    joints: np.ndarray
    colours: np.ndarray
    kind: str
    seed: int

    def labels(self) -> dict[str, Any]:
        """The sidecar: JSON-ready truth."""
        return {
            "caption": self.caption,
            "puppet": {
                "seed": self.seed,
                "kind": self.kind,
                "fps": self.fps,
                "mouth_opening": np.round(self.opening, 5).tolist(),
                "joints": [[[None if np.isnan(v) else round(float(v), 4) for v in j] for j in f] for f in self.joints],
                "colours": np.round(self.colours, 5).tolist(),
            },
        }

    def sidecar(self) -> bytes:
        """`labels()` as UTF-8 JSON."""
        return json.dumps(self.labels()).encode()


def render(seed: int, kind: str = "clean", frames: int = 25) -> Puppet:
    """Render the puppet clip of `seed`.

    Args:
        seed: same seed, same clip, on every machine.
        kind: one of `KINDS`; all but `clean` break one curation rule on purpose.
        frames: 4n+1, at 16 frames per second.

    Raises:
        ValueError: unknown kind, or a frame count that the causal autoencoder cannot take.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown puppet kind {kind!r}; choose one of {', '.join(KINDS)}")
    if frames % 4 != 1:
        raise ValueError(f"a puppet clip has 4n+1 frames, got {frames}")
    rng = np.random.default_rng([seed, zlib.crc32(b"puppet")])
    who, other = draw_identity(rng), draw_identity(rng)
    samples = round(frames / FPS * SAMPLE_RATE)
    audio = draw_speech(rng, samples, who.pitch)
    opening = mouth_opening(audio, frames, FPS)
    joints = draw_pose(rng, frames, FPS)
    # Drawn where it is used only, and before the time of the cut, which is another by it.
    unrelated = draw_speech(rng, samples, who.pitch) if kind in ("wrong_sync", "hard_cut") else None
    cut = int(rng.integers(frames // 3, 2 * frames // 3))
    if kind == "still":
        opening, joints = np.full_like(opening, opening[0]), np.repeat(joints[:1], frames, axis=0)
    drawn = joints if kind != "hidden_arms" else np.full_like(joints, np.nan)
    people = [other if kind == "hard_cut" and t >= cut else who for t in range(frames)]
    images = np.stack([_draw_frame(p, o, j) for p, o, j in zip(people, opening, drawn, strict=True)])
    if kind == "overlay_text":
        images = np.stack([_overlay(image) for image in images])
    return Puppet(
        frames=images,
        audio={"no_audio": None, "wrong_sync": unrelated}.get(kind, audio),
        fps=FPS,
        caption=caption(who, drawn),
        opening=opening,
        joints=drawn,
        colours=who.colours,
        kind=kind,
        seed=seed,
    )


def caption(who: Identity, joints: np.ndarray) -> str:
    """One English sentence that is true of the pixels."""
    names = who.names
    if np.isnan(joints).all():
        arms = "with no arms in view"
    else:
        raised = (joints[:, [1, 3], 1].mean(axis=0) < SHOULDERS[0, 1]).sum()
        arms = ("with both arms low", "with one arm raised", "with both arms raised")[raised]
    return (
        f"A person with {names['skin']} skin and {names['hair']} hair in a {who.pattern} {names['shirt']} shirt "
        f"talks in front of a {names['wall']} wall {arms}."
    )


def _draw_frame(who: Identity, opening: float, joints: np.ndarray) -> np.ndarray:
    """`(64, 64, 3)` uint8, drawn four times larger and averaged down, so that edges carry sub-pixel truth."""
    side = SIZE * _SCALE
    canvas = np.empty((side, side, 3), np.float32)
    canvas[:] = who.wall
    offset = np.asarray(who.head_offset)
    _polygon(canvas, [(20, 40), (44, 40), (47, 64), (17, 64)], who.shirt)
    if who.pattern == "striped":
        for top in (52, 58):
            _polygon(canvas, [(19, top), (45, top), (45, top + 2), (19, top + 2)], who.shirt * 0.8)
    _polygon(canvas, [(28, 34), (36, 34), (36, 42), (28, 42)], who.skin * 0.92)
    _ellipse(canvas, SKULL[0] + offset, SKULL[1], who.hair)
    _ellipse(canvas, HEAD[0] + offset, HEAD[1], who.skin)
    for eye in EYES:
        _ellipse(canvas, eye + offset, (EYE_RADIUS, EYE_RADIUS), np.array([0.12, 0.12, 0.14]))
    half_height = MOUTH_CLOSED + (MOUTH_OPEN - MOUTH_CLOSED) * opening
    _ellipse(canvas, MOUTH_CENTRE + offset, (MOUTH_HALF_WIDTH, half_height), MOUTH_COLOUR)
    if not np.isnan(joints).any():
        for arm in (0, 1):
            chain = [SHOULDERS[arm], joints[2 * arm], joints[2 * arm + 1]]
            for start, end in zip(chain[:-1], chain[1:], strict=True):
                _limb(canvas, start, end, who.shirt * 0.7)
        for joint, colour in zip(joints, DISC_COLOURS, strict=True):
            _ellipse(canvas, joint, (DISC_RADIUS, DISC_RADIUS), colour)
    small = cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.round(np.clip(small, 0, 1) * 255).astype(np.uint8)


def _fixed(point) -> tuple[int, int]:
    """Pixel coordinates (pixel centres at integers) to cv2 fixed point on the large canvas."""
    large = (np.asarray(point, dtype=float) + 0.5) * _SCALE - 0.5
    x, y = np.round(large * (1 << _SHIFT)).astype(int)
    return int(x), int(y)


def _ellipse(canvas: np.ndarray, centre, axes, colour: np.ndarray) -> None:
    # cv2 also fills the pixels that the outline passes through: half a large pixel beyond the radius.
    radii = tuple(round((a * _SCALE - 0.5) * (1 << _SHIFT)) for a in axes)
    cv2.ellipse(canvas, _fixed(centre), radii, 0, 0, 360, colour.tolist(), -1, cv2.LINE_8, _SHIFT)


def _polygon(canvas: np.ndarray, points, colour: np.ndarray) -> None:
    corners = np.array([_fixed(p) for p in points], dtype=np.int32)
    cv2.fillConvexPoly(canvas, corners, colour.tolist(), cv2.LINE_8, _SHIFT)


def _limb(canvas: np.ndarray, start, end, colour: np.ndarray) -> None:
    cv2.line(canvas, _fixed(start), _fixed(end), colour.tolist(), 4 * _SCALE, cv2.LINE_8, _SHIFT)


def _overlay(image: np.ndarray) -> np.ndarray:
    """A subtitle bar, the way a broadcaster burns one in."""
    marked = image.copy()
    marked[52:62, 4:60] = 20
    cv2.putText(marked, "BREAKING", (5, 60), cv2.FONT_HERSHEY_PLAIN, 0.68, (245, 245, 245), 1, cv2.LINE_8)
    return marked
