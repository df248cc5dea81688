"""The second layer, read: is our mark in the pictures of a file?"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from provenance.media_types import media_type
from provenance.outcomes import CHANGED, NO_MARK, UNTOUCHED, LayerVerdict
from provenance.watermark.backend import PATTERN, Found, Mark

if TYPE_CHECKING:
    import numpy as np

    from provenance.watermark.payload import Payload

LAYER = "watermark"
FRAMES = 240  # looked at, from the beginning: more say no more


def read_watermark(path: Path, marks: Sequence[Mark] = (PATTERN,)) -> LayerVerdict:
    """What the pictures of a film or of a still picture say.

    Args:
        path: any file.
        marks: what is looked for, in this order; the first that is there counts.
    """
    kind = media_type(path) or ""
    if kind.partition("/")[0] not in ("video", "image"):
        return LayerVerdict(LAYER, NO_MARK, "no_media", "it has no pictures to look at")
    from media import MediaError

    try:
        for mark in marks:
            found = mark.find(_still(path) if kind.startswith("image/") else _film(path))
            if found.marked and found.payload is not None:
                return _verdict(mark, found, found.payload)
    except MediaError as error:
        return LayerVerdict(LAYER, NO_MARK, "unreadable", f"its pictures cannot be read ({error})")
    return LayerVerdict(
        LAYER, NO_MARK, "none", "no invisible mark was found: never put in, or edited until it could not be read"
    )


def _verdict(mark: Mark, found: Found, payload: "Payload") -> LayerVerdict:
    says = {"version": payload.version, "day": payload.day.isoformat()}
    told = f"{mark.name}: model version {says['version']}, {says['day']}"
    if found.in_place is None:
        told += "; its network does not say whether the pictures were cut, nor how the file was encoded"
        return LayerVerdict(LAYER, UNTOUCHED, "found", told, says)
    if found.in_place:
        told += "; it lies as it was put in, which says nothing of how the file was encoded"
        return LayerVerdict(LAYER, UNTOUCHED, "found", told, says)
    return LayerVerdict(LAYER, CHANGED, "found", f"{told}; the pictures were cut since", says)


def _film(path: Path) -> "Iterator[np.ndarray]":
    import av
    from av.video.reformatter import VideoReformatter

    from media import MediaError

    seen, scaler = 0, VideoReformatter()
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0) if container.streams.video else ():
                yield scaler.reformat(frame, format="rgb24", threads=1).to_ndarray()
                seen += 1
                if seen == FRAMES:
                    return
    except av.FFmpegError as error:
        if not seen:  # of a film that is cut off, its beginning is enough
            raise MediaError("unreadable", f"{path} cannot be decoded ({error}); it is cut off or damaged") from error


def _still(path: Path) -> "Iterator[np.ndarray]":
    from media.photographs import read_photograph

    yield read_photograph(path)
