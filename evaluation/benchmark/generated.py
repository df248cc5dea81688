"""What one model made of a benchmark in one mode, read one video at a time."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import GROUND_TRUTH
from media.encode import decode_lossless
from media.user_error import UserError

COST = "cost"  # in the metadata of a file of videos: what its batch cost


class GenerationError(UserError):
    """A mode that does not exist, generated videos that do not fit, or none where some are needed."""


class Generated:
    """`videos-*.safetensors` of a folder: bytes of lossless videos (`media.encode.encode_lossless`) by the names of the benchmark's samples.

    Attributes:
        meta: the record that generation wrote.
        files: those of the videos.
    """

    def __init__(self, folder: Path, benchmark: Benchmark, meta: dict[str, Any]):
        self.folder, self.meta, self._benchmark = folder, meta, benchmark
        self.files = sorted(folder.glob("videos-*.safetensors"))

    @cached_property
    def _file_of(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for file in self.files:
            with safe_open(file, "np") as stored:
                found |= dict.fromkeys(stored.keys(), file)
        return found

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the samples that there are videos of, in the benchmark's order."""
        return tuple(name for name in self._benchmark.names if name in self._file_of)

    def __len__(self) -> int:
        return len(self._file_of)

    def frames(self, name: str) -> np.ndarray:
        """`(T, H, W, 3)` uint8 of one sample.

        Raises:
            GenerationError: there is no video of it.
        """
        file = self._file_of.get(name)
        if file is None:
            raise GenerationError(
                f"{self.folder} holds no video of {name}; run `python -m assets generated_videos` again"
            )
        with safe_open(file, "np") as stored:
            kept: np.ndarray = stored.get_tensor(name)
        # Files of an earlier version hold the frames as they are.
        return kept if kept.ndim == 4 else decode_lossless(kept.tobytes())

    def parts(self) -> list[dict[str, str]]:
        """The metadata of each file."""
        found = []
        for file in self.files:
            with safe_open(file, "np") as stored:
                found.append(dict(stored.metadata() or {}))
        return found


def sampling_note(folder: Path) -> str:
    """How the videos of a folder were sampled, "25 steps, euler, shift 3, guidance 6.5, weights in int8"; nothing where none were or none was said."""
    file = folder / "meta.json"
    meta = json.loads(file.read_text()) if file.is_file() else {}
    if "sampling" not in meta:
        return ""
    steps = "the model's own steps" if meta["steps"] is None else f"{meta['steps']} steps"
    guidance = "" if meta["guidance_scale"] is None else f", guidance {meta['guidance_scale']:g}"
    _, quantised, weights = meta.get("dtype", "").partition(", ")  # `omnihuman.placement.numbers_name`
    return f"{steps}, {meta['sampling']['solver']}, shift {meta['sampling']['shift']:g}{guidance}{quantised}{weights}"


def open_generated(folder: Path, benchmark: Benchmark) -> Generated:
    """Open the videos of one model and mode.

    Raises:
        GenerationError: nothing there, or it was made on another benchmark.
    """
    file = folder / "meta.json"
    meta = json.loads(file.read_text()) if file.is_file() else None
    if meta is None or not any(folder.glob("videos-*.safetensors")):
        raise GenerationError(f"no generated videos in {folder}; make them with `python -m assets generated_videos`")
    if meta["benchmark"] != benchmark.digest:
        raise GenerationError(f"{folder} was made on another benchmark; run `python -m assets generated_videos` again")
    return Generated(folder, benchmark, meta)


def open_sets(root: Path, benchmark: Benchmark, sets: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Generated]:
    """The videos of every model and mode; the ground truth has none but the clips themselves.

    Raises:
        GenerationError: as `open_generated`.
    """
    return {
        (model, mode): open_generated(root / model / mode, benchmark) for model, mode in sets if model != GROUND_TRUTH
    }
