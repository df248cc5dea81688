"""What goes onto an export's pictures and into its files: the visible mark, the invisible one, the signature."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
from torch import Tensor

from media.mark import mark_frames, with_icon
from provenance.settings import read_settings
from provenance.signing import Signer, Statement
from provenance.watermark.backend import PATTERN, Mark, mark_of
from provenance.watermark.payload import Payload

# Pictures lower than this are enlarged by repeating pixels, so that players do not blur them and the mark can be read.
SMALL, ENLARGE = 128, 4
ICON_SECONDS = 3.0  # that each showing lasts


@dataclass(frozen=True)
class Marking:
    """How one export is marked.

    Attributes:
        visible: "AI-generated" is written on the pictures.
        payload: of the invisible mark; None where a setting switched it off.
        signer: None where a setting switched it off.
        icon: seconds from one showing of the icon to the next, the first at the start; None shows none.
        mark: what puts the invisible mark in.
    """

    visible: bool
    payload: Payload | None
    signer: Signer | None
    icon: float | None = None
    mark: Mark = PATTERN

    @classmethod
    def begin(cls, visible: bool, version: int, day: date | None = None) -> "Marking":
        """By the environment's settings.

        Args:
            visible: as asked for.
            version: of the registered model, 0 for one from a folder.
            day: on which the export began; default today, in UTC.

        Raises:
            provenance.settings.ProvenanceError: the export could not be signed, or a network that is to mark it cannot be used.
        """
        settings = read_settings()
        payload = Payload(version, day or datetime.now(UTC).date()) if settings.watermark else None
        return cls(visible, payload, Signer.open(), settings.icon, mark_of(settings))

    def pictures(self, frames: Tensor, fps: float, start: int = 0) -> np.ndarray:
        """`(T, H, W, 3)` uint8 frames as they are written: enlarged where they are small, then marked.

        Args:
            frames: a piece of a video.
            fps: of the video.
            start: number of the piece's first frame in it.
        """
        given = np.ascontiguousarray(frames.cpu().numpy())  # a decoder's frames may lie channel by channel
        times = ENLARGE if given.shape[1] < SMALL else 1
        pictures = np.empty((len(given), given.shape[1] * times, given.shape[2] * times, 3), np.uint8)
        steps = None
        if self.payload is not None and len(given):
            steps = self.mark.steps_for(given, self.payload, pictures.shape[1:3])
        # One picture at a time stays in the processor's cache.
        for number, target in enumerate(pictures):
            piece = given[number : number + 1]
            if times > 1:
                piece = piece.repeat(times, axis=2).repeat(times, axis=1)
            if self.visible:
                piece = mark_frames(piece)
            image = piece[0]
            if self.icon is not None and ((start + number) / fps) % self.icon < ICON_SECONDS:
                image = with_icon(image)
            if steps is None:
                target[:] = image
            else:
                steps.put(image, target, start + number)
        return pictures

    def statement(self, record: Mapping[str, object], title: str, inputs: Mapping[str, Path]) -> Statement:
        """What is signed of a file."""
        if self.icon is not None:
            record = {**record, "icon": {"every": self.icon, "seconds": ICON_SECONDS}}
        if self.payload is None:
            return Statement(record, title, inputs)
        said = {"version": self.payload.version, "day": self.payload.day.isoformat()}
        said |= {} if self.mark is PATTERN else {"by": self.mark.name}
        return Statement({**record, "watermark": said}, title, inputs, watermarked=True)


def day_begun(work: Path) -> date | None:
    """The day on which unfinished work was begun: what goes on after midnight carries one mark throughout."""
    settings = work / "settings.json"
    return datetime.fromtimestamp(settings.stat().st_mtime, UTC).date() if settings.is_file() else None
