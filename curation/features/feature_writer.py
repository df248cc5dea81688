"""Writes the features of one shard: rows of a bucket into files of at most `MAX_BYTES`, every text once beside them.

What is zero is not written: text ends where it ends, and samples without sound or without frames before their window have no row
of that tensor. Bytes depend on samples alone, not on what was encoded when.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import numpy as np

from curation.tables.safetensors_append import GrowingTensors
from curation.tables.safetensors_fill import Shape, TensorRows
from media.features.places import LATENTS, LAYOUT, MAX_BYTES, ROW, SCALE, TEXTS, features_file, part_name
from media.features.rounding import to_int8

HEADER_BYTES = 4096  # of a file, at most
RowShapes = Mapping[str, tuple[int, ...]]  # of one sample, text without its tokens


class TextWriter:
    """Appends texts to `text-<first>.safetensors`; a context, at whose end the last file stands."""

    def __init__(self, folder: Path, tokens: int):
        """`tokens` is how many a reader fills every text up to."""
        self._folder, self._tokens = folder, tokens
        self._file: GrowingTensors | None = None
        self._offsets: list[int] = []
        self._first, self.count = 0, 0
        self.files: dict[str, Path] = {}

    def __enter__(self) -> "TextWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None and error is None:
            self._close()
        elif self._file is not None:
            self._file.__exit__(kind, error, trace)

    def add(self, states: np.ndarray) -> int:
        """Write `(L, D)` states up to the last that is not zero; returns the text's number."""
        kept = without_padding(states)
        size = (self._offsets[-1] if self._offsets else 0) + len(kept)
        too_large = size * states.shape[1] * 2 + (len(self._offsets) + 1) * 8 + HEADER_BYTES > MAX_BYTES
        if self._file is not None and len(self._offsets) > 1 and too_large:
            self._close()
        if self._file is None:
            self._first, self._offsets = self.count, [0]
            name = f"{TEXTS}-{self._first:06d}"
            self.files[name] = self._folder / f"{name}.safetensors"
            rows: dict[str, Shape] = {"offsets": ((), "int64"), "text": (states.shape[1:], "float16")}
            self._file = GrowingTensors(self.files[name], rows)
        self._file.append("text", kept.astype(np.float16))
        self._offsets.append(self._offsets[-1] + len(kept))
        self.count += 1
        return self.count - 1

    def _close(self) -> None:
        assert self._file is not None
        self._file.append("offsets", np.array(self._offsets, np.int64))
        self._file.close({"layout": LAYOUT, "tokens": str(self._tokens)})
        self._file.__exit__(None, None, None)
        self._file = None


def without_padding(states: np.ndarray) -> np.ndarray:
    """`(L, D)` without the zeros at its end: positions past the text are exactly zero (`omnihuman.conditions.text`)."""
    there = np.flatnonzero(states.any(axis=1))
    return states[: there[-1] + 1 if len(there) else 0]


class BucketWriter:
    """The rows of one bucket. `put` takes them in any order, `close` brings them to disk."""

    def __init__(self, folder: Path, bucket: str, shapes: RowShapes, motion: Sequence[bool], latents: str):
        """Claim the disk space.

        Args:
            folder: of the shard.
            bucket: its name.
            shapes: of latents, reference_latents, motion_latents, audio and keypoints, of one sample.
            motion: which samples have frames before their window; as many as there are samples.
            latents: `float16` or `int8`.
        """
        whole = _kept(shapes, 1, 1, latents)
        bytes_of_row = sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in whole.values())
        self._per_file, self._int8 = max(1, (MAX_BYTES - HEADER_BYTES) // bytes_of_row), latents == "int8"
        self._files: list[TensorRows] = []
        self.files: dict[str, Path] = {}
        for first in range(0, len(motion), self._per_file):
            has_motion = np.asarray(motion[first : first + self._per_file], bool)
            path = features_file(folder, bucket, first)
            kept = _kept(shapes, len(has_motion), int(has_motion.sum()), latents)
            rows = TensorRows(path, kept, {"layout": LAYOUT}, shrinking="audio")
            rows.arrays["motion_latents" + ROW][:] = np.where(has_motion, has_motion.cumsum() - 1, -1)
            rows.arrays["audio" + ROW][:] = -1
            self._files.append(rows)
            self.files[part_name(bucket, first)] = path

    def put(self, rows: Sequence[int], tensors: Mapping[str, np.ndarray]) -> None:
        """Write tensors of these rows, as encoders give them or as they were kept (latents in 8 bits with their scales)."""
        by_file: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            by_file.setdefault(row // self._per_file, []).append(index)
        for number, indices in by_file.items():
            local = np.array([rows[i] for i in indices]) - number * self._per_file
            self._put(self._files[number].arrays, local, {name: values[indices] for name, values in tensors.items()})

    def _put(self, arrays: dict[str, np.ndarray], rows: np.ndarray, tensors: Mapping[str, np.ndarray]) -> None:
        for name, values in tensors.items():
            if name in LATENTS:
                self._put_latents(arrays, name, rows, values, tensors.get(name + SCALE))
            elif name == "audio":
                heard = tensors["has_audio"] == 1
                arrays["audio"][rows[heard]] = values[heard]
                arrays["audio" + ROW][rows] = np.where(heard, rows, -1)
            elif name in arrays and not name.endswith(SCALE):
                arrays[name][rows] = values

    def _put_latents(
        self, arrays: dict[str, np.ndarray], name: str, rows: np.ndarray, values: np.ndarray, scale: np.ndarray | None
    ) -> None:
        if name + ROW in arrays:
            places = arrays[name + ROW][rows]
            there = places >= 0
            rows, values, scale = places[there], values[there], None if scale is None else scale[there]
        if self._int8 and scale is None:
            values, scale = to_int8(values)
        arrays[name][rows] = values
        if self._int8:
            arrays[name + SCALE][rows] = scale

    def close(self) -> None:
        """Move the sounds that there are together, in the order of their samples, and bring everything to disk."""
        for file in self._files:
            audio, where = file.arrays["audio"], file.arrays["audio" + ROW]
            heard = np.flatnonzero(where >= 0)
            for place, row in enumerate(heard.tolist()):
                if place != row:
                    audio[place] = audio[row]
                where[row] = place
            file.close(len(heard))


def _kept(shapes: RowShapes, samples: int, moved: int, latents: str) -> dict[str, Shape]:
    """Shape and dtype of every tensor of a file."""
    found: dict[str, Shape] = {}
    for name in LATENTS:
        count = moved if name == "motion_latents" else samples
        found[name] = (count, *shapes[name]), latents
        if latents == "int8":
            found[name + SCALE] = (count, *shapes[name][:2]), "float32"
    for name in ("motion_latents", "audio", "text"):
        found[name + ROW] = (samples,), "int32"
    found["audio"] = (samples, *shapes["audio"]), "float16"
    found["keypoints"] = (samples, *shapes["keypoints"]), "float32"
    return found
