"""Columns that were computed before, under a key of clip, score, version and configuration."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from curation.people.keypoints import KEYPOINTS, Detected
from curation.scores.contract import Values
from curation.tables.safetensors_append import GrowingTensors
from curation.tables.storage import CurationError, read_table, write_table
from media import whole_file

CLIP = "sha256"
CLIPS = "clips"
KEPT: dict[str, tuple[tuple[int, ...], str]] = {"keypoints": ((KEYPOINTS, 3), "float32"), "people": ((), "int32")}


@dataclass(frozen=True)
class ColumnCache:
    """Files under `folder`, one for each key and shard; None keeps nothing. A key says what made the columns, a row's
    `sha256` (`Score.clip_key`) from which clip."""

    folder: Path | None
    shard: str

    def read(self, key: str) -> dict[str, Values]:
        """Columns by `Score.clip_key`; empty where nothing was kept."""
        path = self._path(key, "parquet")
        if path is None or not path.is_file():
            return {}
        try:
            table = read_table(path)
        except CurationError:
            # Only this cache writes here: a damaged file is work to do again, not data lost.
            path.unlink()
            return {}
        return {row.pop(CLIP): row for row in table.to_dict("records")}

    def write(self, key: str, rows: dict[str, Values]) -> None:
        """Keep columns by `Score.clip_key`; what the file had is replaced."""
        path = self._path(key, "parquet")
        if path is None or not rows:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        write_table(pd.DataFrame([{CLIP: sha256, **values} for sha256, values in rows.items()]), temporary)
        temporary.replace(path)

    def keypoints(self, key: str) -> dict[str, "KeptKeypoints"]:
        """Where what the detector found stands, by the clip's sha256; nothing of it is read yet."""
        path = self._path(key, "safetensors")
        if path is None or not path.is_file():
            return {}
        try:
            with safe_open(path, "np") as file:
                clips = json.loads(file.metadata()[CLIPS])
        except SafetensorError:
            path.unlink()  # as above
            return {}
        return {sha256: KeptKeypoints(path, *place) for sha256, place in clips.items()}

    @contextmanager
    def keeping_keypoints(self, key: str) -> Iterator["KeypointKeeper | None"]:
        """Give what takes the keypoints of one clip after the other; its file takes the old one's place when all are in.
        None where nothing is kept."""
        path = self._path(key, "safetensors")
        if path is None:
            yield None
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary, GrowingTensors(temporary, KEPT) as tensors:
            keeper = KeypointKeeper(tensors)
            yield keeper
            tensors.close({CLIPS: json.dumps(keeper.clips)})

    def _path(self, key: str, suffix: str) -> Path | None:
        return None if self.folder is None else self.folder / key / f"{self.shard}.{suffix}"


@dataclass(frozen=True)
class KeptKeypoints:
    """One clip's rows of a shard's file: from `offset`, `frames` of them, with the number of people if it was `counted`."""

    path: Path
    offset: int
    frames: int
    counted: bool

    def read(self) -> Detected:
        """These rows alone."""
        rows = slice(self.offset, self.offset + self.frames)
        with safe_open(self.path, "np") as file:
            points = file.get_slice("keypoints")[rows]
            return Detected(points, file.get_slice("people")[rows] if self.counted else None)


def people_rows(detected: Detected) -> np.ndarray:
    """`(frames,)` as it is kept: zeros of a detector that does not count."""
    return np.zeros(len(detected.keypoints), np.int32) if detected.people is None else detected.people


class KeypointKeeper:
    """Appends clips to a shard's file."""

    def __init__(self, tensors: GrowingTensors):
        self._tensors = tensors
        self.clips: dict[str, tuple[int, int, bool]] = {}

    def add(self, sha256: str, detected: Detected) -> None:
        """Keep what was found in one clip."""
        offset = self._tensors.append("keypoints", detected.keypoints)
        self._tensors.append("people", people_rows(detected))
        self.clips[sha256] = (offset, len(detected.keypoints), detected.people is not None)
