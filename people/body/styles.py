"""Hair styles, as numbers: how strands leave the scalp, where they go, and where they are cut."""

from dataclasses import dataclass, replace
from typing import Literal

Comb = Literal["down", "forward", "back", "aside", "out", "gather"]


@dataclass(frozen=True)
class Style:
    """How one style's strands grow. Lengths are decimetres of the base mesh.

    Attributes:
        comb: where to: down from a parting, forward, back, aside from a parting, out from the head, or to a tie at the back.
        strands, width: number of cards, and how wide each is at the root.
        length, cut: of a strand; no strand goes below this height.
        volume: how far the outermost lies from the head.
        stiffness: share of its direction that a strand keeps from step to step; ruffle: random turn of each.
        wave, turns: sideways waves along a strand, and how many.
        fringe: whether some strands fall over the forehead.
        under: how far the closed layer below the strands lies from the scalp.
    """

    comb: Comb
    strands: int
    width: float
    length: float
    volume: float
    cut: float = -9.0
    stiffness: float = 0.5
    ruffle: float = 0.12
    wave: float = 0.0
    turns: float = 0.0
    fringe: bool = False
    under: float = 0.035
    segments: int = 6
    curls: bool = False

    def coarser(self) -> "Style":
        """Fewer and wider strands of fewer segments, for small pictures."""
        return replace(
            self,
            strands=round(0.6 * self.strands),
            width=1.3 * self.width,
            segments=max(3, round(0.75 * self.segments)),
        )


STYLES: dict[str, Style] = {
    "long": Style("down", 420, 0.22, 4.2, 0.20, cut=4.6, segments=10),
    "fringe": Style("down", 420, 0.22, 3.9, 0.18, cut=4.9, segments=10, fringe=True),
    "wavy": Style("down", 400, 0.24, 3.9, 0.30, cut=4.8, wave=0.075, turns=3.0, segments=12, ruffle=0.2),
    "bob": Style("down", 420, 0.22, 2.4, 0.24, cut=6.28, segments=8, fringe=True),
    "shoulder": Style("down", 400, 0.22, 3.0, 0.18, cut=5.55, segments=9, ruffle=0.2),
    "pixie": Style("aside", 480, 0.17, 0.75, 0.17, segments=4, ruffle=0.25, under=0.05),
    "ponytail": Style("gather", 420, 0.16, 2.6, 0.07, stiffness=0.2, segments=8, ruffle=0.04, under=0.05),
    "bun": Style("gather", 420, 0.16, 2.6, 0.07, stiffness=0.2, segments=8, ruffle=0.04, under=0.05),
    "curly": Style(
        "down",
        520,
        0.22,
        2.5,
        0.42,
        cut=5.7,
        stiffness=0.6,
        ruffle=0.5,
        wave=0.11,
        turns=3.5,
        segments=12,
        curls=True,
        under=0.12,
    ),
    "afro": Style("out", 900, 0.24, 0.34, 0.45, segments=3, curls=True, under=0.36),
    "parted": Style("aside", 500, 0.16, 0.85, 0.20, segments=4, ruffle=0.12, under=0.06),
    "crop": Style("forward", 520, 0.14, 0.48, 0.15, segments=3, ruffle=0.3, under=0.05),
    "buzz": Style("out", 0, 0.1, 0.05, 0.02, under=0.03),
    "slick": Style("back", 480, 0.17, 1.1, 0.15, segments=5, ruffle=0.08, under=0.05),
    "curls": Style("out", 700, 0.18, 0.26, 0.20, segments=3, curls=True, under=0.13),
    "receding": Style("back", 380, 0.14, 0.40, 0.09, segments=3, ruffle=0.25, under=0.03),
}
