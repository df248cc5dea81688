"""What a scoring that was killed had done: a file per clip, until the shard's table is written."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from curation.people.keypoints import Detected
from curation.scores.cache import KeptKeypoints, people_rows
from curation.scores.contract import Values
from media import write_atomically

ENTRY = "entry"
KEYPOINTS, PEOPLE = "keypoints", "people"


class UnfinishedScores:
    """Results of one shard's clips as they come in, under `folder`; None keeps nothing. One writer at a time."""

    def __init__(self, folder: Path | None):
        self._folder = folder

    def add(self, sha256: str, values: Mapping[str, tuple[str, str, Values]], key: str, found: Detected | None) -> None:
        """Keep one clip's result.

        Args:
            sha256: the clip's.
            values: score -> the score's key, the clip's key under it, columns.
            key: of the keypoints.
            found: keypoints that were found now; None where they were known.
        """
        if self._folder is None:
            return
        tensors: dict[str, np.ndarray] = {}
        if found is not None:
            # In rows: safetensors 0.8.0 writes an array as it lies in memory (findings/safetensors_numpy_as_it_lies_in_memory.sh).
            tensors = {
                KEYPOINTS: np.ascontiguousarray(found.keypoints, np.float32),
                PEOPLE: np.ascontiguousarray(people_rows(found), np.int32),
            }
        counted, frames = found is not None and found.people is not None, 0 if found is None else len(found.keypoints)
        entry = {"sha256": sha256, "values": values, "key": key, "frames": frames, "counted": counted}
        write_atomically(
            self._folder / f"{sha256}.safetensors",
            save(tensors, metadata={ENTRY: json.dumps(entry, default=lambda number: number.item())}),
        )

    def restore(
        self, keys: Mapping[str, str], keypoints_key: str, columns: dict[str, dict[str, Values]],
        places: dict[str, KeptKeypoints],
    ) -> set[str]:  # fmt: skip
        """Add what an earlier attempt left to `columns` and `places`, where its keys are today's; returns the names that gained, with
        `keypoints` among them where places did."""
        gained = set()
        for path, entry in self._entries():
            for name, (key, clip_key, values) in entry["values"].items():
                if keys.get(name) == key and clip_key not in columns[name]:
                    columns[name][clip_key] = values
                    gained.add(name)
            if entry["frames"] and entry["key"] == keypoints_key and entry["sha256"] not in places:
                places[entry["sha256"]] = KeptKeypoints(path, 0, entry["frames"], entry["counted"])
                gained.add(KEYPOINTS)
        return gained

    def forget(self) -> None:
        """The table is written."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _entries(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for path in sorted(self._folder.glob("*.safetensors")) if self._folder is not None else ():
            try:
                with safe_open(path, "np") as file:
                    entry = json.loads(file.metadata()[ENTRY])
            except (SafetensorError, KeyError, TypeError, ValueError):
                path.unlink()  # only this class writes here: work to do again
                continue
            yield path, entry
