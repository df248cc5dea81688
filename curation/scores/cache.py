"""Columns that were computed before, under a key of clip, score, version and configuration."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors import safe_open
from safetensors.numpy import save

from curation.keypoints import Detected
from curation.scores.contract import Values
from curation.storage import CurationError, read_table, write_table
from media import write_atomically

CLIP = "sha256"


@dataclass(frozen=True)
class ColumnCache:
    """Files under `folder`, one for each key and shard; None keeps nothing. A key says what made the columns, a row's
    sha256 says from which bytes."""

    folder: Path | None
    shard: str

    def read(self, key: str) -> dict[str, Values]:
        """Columns by the clip's sha256; empty where nothing was kept."""
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
        """Keep columns by sha256; what the file had is replaced."""
        path = self._path(key, "parquet")
        if path is None or not rows:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        write_table(pd.DataFrame([{CLIP: sha256, **values} for sha256, values in rows.items()]), temporary)
        temporary.replace(path)

    def read_keypoints(self, key: str) -> dict[str, Detected]:
        """What the detector found, by the clip's sha256."""
        path = self._path(key, "safetensors")
        if path is None or not path.is_file():
            return {}
        found = {}
        with safe_open(path, "np") as file:
            for sha256, counted in json.loads(file.metadata()["clips"]).items():
                people = file.get_tensor(f"{sha256}.people") if counted else None
                found[sha256] = Detected(file.get_tensor(sha256), people)
        return found

    def write_keypoints(self, key: str, rows: dict[str, Detected]) -> None:
        """Keep what the detector found."""
        path = self._path(key, "safetensors")
        if path is None or not rows:
            return
        tensors: dict[str, np.ndarray] = {sha256: found.keypoints for sha256, found in rows.items()}
        tensors |= {f"{sha256}.people": found.people for sha256, found in rows.items() if found.people is not None}
        clips = {sha256: found.people is not None for sha256, found in rows.items()}
        write_atomically(path, save(tensors, {"clips": json.dumps(clips)}))

    def _path(self, key: str, suffix: str) -> Path | None:
        return None if self.folder is None else self.folder / key / f"{self.shard}.{suffix}"
