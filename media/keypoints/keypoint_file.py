"""Keypoints as a file of their own: safetensors with `keypoints` `(T, 133, 3)`, whose metadata say of what picture and rate they are."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from media.files import write_atomically
from media.framing import points_in_crop
from media.user_error import UserError

SUFFIX = ".safetensors"
TENSOR, POINTS = "keypoints", 133
SIZES = ("width", "height", "fps")
TOLERANCE = 1e-3  # seconds, as in media.decode
REMEDY = (
    f"a keypoint file holds `{TENSOR}` (frames, {POINTS}, 3), x and y in pixels and confidence, and `width`, `height` and "
    "`fps` of its pictures in its metadata, as media.keypoints.keypoint_file.write_keypoints writes it"
)


class KeypointFileError(UserError):
    """A file that holds no keypoints, or does not say of what picture they are."""


@dataclass(frozen=True)
class Keypoints:
    """`points` `(T, 133, 3)` float32, x and y in pixels of a picture of `height` x `width` and confidence in [0, 1], at `fps`."""

    points: np.ndarray
    width: int
    height: int
    fps: float


def write_keypoints(path: Path, keypoints: Keypoints) -> None:
    """Write one file, whole or not at all: the same keypoints are the same bytes."""
    points = np.ascontiguousarray(keypoints.points, "<f4")
    # The library shuffles its metadata, and the file's hash with it.
    header = {
        "__metadata__": {name: f"{getattr(keypoints, name):.17g}" for name in SIZES},
        TENSOR: {"dtype": "F32", "shape": points.shape, "data_offsets": [0, points.nbytes]},
    }
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    write_atomically(path, len(encoded).to_bytes(8, "little") + encoded + points.tobytes())


def read_keypoints(path: Path) -> Keypoints:
    """Read what `write_keypoints` wrote, or anybody's file in the same form.

    Raises:
        KeypointFileError: no safetensors file, no such tensor, another shape, numbers that are not finite, or no picture size.
    """
    try:
        with safe_open(path, "np") as stored:
            names, metadata = list(stored.keys()), stored.metadata() or {}
            points = stored.get_tensor(TENSOR) if TENSOR in names else None
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise KeypointFileError(f"{path} cannot be read as safetensors ({error}); {REMEDY}") from error
    if points is None:
        raise KeypointFileError(f"{path} holds {', '.join(names) or 'nothing'} and no `{TENSOR}`; {REMEDY}")
    if points.ndim != 3 or points.shape[1:] != (POINTS, 3) or not len(points) or points.dtype.kind != "f":
        raise KeypointFileError(f"{path}: `{TENSOR}` is {points.dtype} of shape {tuple(points.shape)}; {REMEDY}")
    if not np.isfinite(points).all():
        raise KeypointFileError(f"{path}: {int((~np.isfinite(points)).sum())} numbers are not finite; {REMEDY}")
    width, height, fps = (_positive(path, metadata, name) for name in SIZES)
    return Keypoints(points.astype(np.float32), round(width), round(height), fps)


def is_keypoint_file(path: Path) -> bool:
    """Whether a file is to be read as keypoints and no film: by its name, or by its first bytes where it came without one."""
    if path.suffix == SUFFIX:
        return True
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size


def fit_keypoints(keypoints: Keypoints, height: int, width: int, fps: float) -> np.ndarray:
    """`(T, 133, 3)` float32 as they would be seen in pictures that `media.framing.crop_to` brought to another shape, at another rate.

    A frame shows the nearest earlier one, as in `media.decode_clip`. A point that is cut off is not seen: its confidence is 0.
    """
    frames = max(1, int(len(keypoints.points) / keypoints.fps * fps + TOLERANCE))
    shown = ((np.arange(frames) / fps + TOLERANCE) * keypoints.fps).astype(int).clip(0, len(keypoints.points) - 1)
    fitted = keypoints.points[shown]
    fitted[..., :2] = points_in_crop(fitted[..., :2], (keypoints.height, keypoints.width), height, width)
    inside = ((fitted[..., :2] >= -0.5) & (fitted[..., :2] <= np.array([width, height]) - 0.5)).all(axis=-1)
    fitted[~inside] = 0.0
    return fitted


def _positive(path: Path, metadata: dict[str, str], name: str) -> float:
    try:
        value = float(metadata[name])
    except KeyError as error:
        raise KeypointFileError(f"{path} does not say the {name} of its pictures; {REMEDY}") from error
    except ValueError:
        value = math.nan
    if not (0 < value < math.inf):
        raise KeypointFileError(f"{path} says {name} = {metadata[name]!r}, which is no size or rate; {REMEDY}")
    return value
