"""A rendered clip with everything that is true of it."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from people.identity import Identity
from people.kinds import Kind
from people.speech.recordings import Phone


@dataclass(frozen=True, eq=False)
class Person:
    """One rendered clip of T frames.

    Attributes:
        frames: `(T, H, W, 3)` uint8 RGB.
        audio: `(S,)` float32 at 16 kHz, or None for kind `no_audio`.
        fps: frames per second.
        caption: one sentence of what is seen.
        kind, seed: how to make it again; `framing`, `place`, `mood` and `gesture` what was drawn.
        identity: who it is; clips of one identity show the same person.
        text, phones: what the mouth says, and when, in seconds.
        keypoints: `(T, 133, 3)` float32 COCO-WholeBody: x, y in pixels (centres at integers), visibility 1 seen, 0.5 covered, 0 outside.
        opening: `(T,)` how far the lips stand apart in space, over the distance of the eyes' outer corners: 0 shut, 0.4 wide open.
        opening_pixels: `(T,)` distance in the picture of the two inner lip points that it is measured between; a little above 0 where shut.
        head: `(T, 3)` yaw, pitch, roll in degrees against the camera (to the person's left, down, to the person's right).
        units: `(T, 52)` face units in [0, 1], named by `unit_names` (ARKit's).
        classes: `(T, H, W)` uint8, `people.classes.PixelClass` of each pixel.
    """

    frames: np.ndarray = field(repr=False)
    audio: np.ndarray | None = field(repr=False)
    fps: float
    caption: str
    kind: Kind
    seed: int
    framing: str
    place: str
    mood: str
    identity: Identity = field(repr=False)
    text: str
    phones: tuple[Phone, ...] = field(repr=False)
    keypoints: np.ndarray = field(repr=False)
    opening: np.ndarray = field(repr=False)
    opening_pixels: np.ndarray = field(repr=False)
    head: np.ndarray = field(repr=False)
    units: np.ndarray = field(repr=False)
    unit_names: tuple[str, ...] = field(repr=False)
    classes: np.ndarray = field(repr=False)

    @property
    def name(self) -> str:
        """Of the person, not of the clip: equal names, equal people."""
        return f"person-{self.identity.seed}"

    def labels(self) -> dict[str, Any]:
        """The sidecar: JSON-ready truth; keypoints as pixels to two digits, the id buffer as shares of its classes."""
        shares = [np.bincount(c.ravel(), minlength=11) / c.size for c in self.classes]
        return {
            "caption": self.caption,
            "identity": self.name,
            "source": f"rendered, seed {self.seed}",
            "person": {
                "seed": self.seed,
                "kind": self.kind,
                "fps": self.fps,
                "size": list(self.frames.shape[1:3]),
                "framing": self.framing,
                "place": self.place,
                "mood": self.mood,
                "text": self.text,
                "phones": [[p.symbol, round(p.start, 4), round(p.end, 4)] for p in self.phones],
                "mouth_opening": np.round(self.opening, 5).tolist(),
                "mouth_opening_pixels": np.round(self.opening_pixels, 3).tolist(),
                "head_degrees": np.round(self.head, 2).tolist(),
                "keypoints": np.round(self.keypoints.astype(float), 2).tolist(),
                "unit_names": list(self.unit_names),
                "units": np.round(self.units.astype(float), 4).tolist(),
                "class_shares": np.round(shares, 5).tolist(),
                "parameters": asdict(self.identity),
            },
        }

    def sidecar(self) -> bytes:
        """`labels()` as UTF-8 JSON."""
        return json.dumps(self.labels()).encode()
