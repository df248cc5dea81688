"""Rows of one shard's features, whichever layout they are in."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from media.features.places import LATENTS, ROW, SCALE, SPARSE, parts_of, texts_of
from media.features.tensor_file import TensorFile

Open = Callable[[Path], TensorFile]
Cut = tuple[int, int] | None


@dataclass(eq=False)
class ShardRows:
    """What a sample has, by bucket and row. In the first layout every tensor has a row for every sample, text padded; in the
    second what is zero is not there: text ends where it ends, and stands once for all samples of one caption.

    Attributes:
        folder: of the shard.
        opened: gives the file of a path; `OpenFiles` shares them among shards.
        names: of the folder's files, where it is no folder of this machine.
    """

    folder: Path
    opened: Open
    names: frozenset[str] | None = None
    _parts: dict[str, dict[int, Path]] = field(default_factory=dict)
    _texts: dict[int, Path] | None = None

    def parts(self, bucket: str) -> dict[int, Path]:
        """First row to file of a bucket.

        Raises:
            FileNotFoundError: it has none.
        """
        if bucket not in self._parts:
            found = parts_of(self.folder, bucket, self.names)
            if not found:
                raise FileNotFoundError(f"no features of bucket {bucket} in {self.folder}")
            self._parts[bucket] = found
        return self._parts[bucket]

    def shapes(self, bucket: str) -> dict[str, tuple[int, ...]]:
        """Shape of each tensor's row as `read` gives it: text with all its tokens."""
        file = self.opened(next(iter(self.parts(bucket).values())))
        found = {name: shape[1:] for name, shape in file.shapes.items() if not name.endswith((ROW, SCALE))}
        found.pop("null_text", None)
        if "text" not in found and (texts := self._text_files()):
            first = self.opened(next(iter(texts.values())))
            found["text"] = (int(first.metadata["tokens"]), first.shapes["text"][1])
        return found

    def latents_dtype(self, bucket: str) -> str:
        """`float16`, or `int8`."""
        return self.opened(next(iter(self.parts(bucket).values()))).dtypes["latents"]

    def read(
        self, bucket: str, name: str, rows: Sequence[int], cut: Cut = None
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`(B, ...)` rows as they are kept, and what latents of 8 bits are to be multiplied by, which has their first axes; zeros
        where a sample has no motion or no sound.

        Args:
            bucket: of all rows.
            name: `latents`, `reference_latents`, `motion_latents`, `has_motion`, `text`, `audio`, `has_audio` or `keypoints`.
            rows: numbers in the bucket.
            cut: (axis, length), see `TensorFile.rows`; not of text.
        """
        if name == "text":
            return self._text(bucket, rows), None
        if name in (f"has_{what}" for what in ("motion", "audio")):
            return self._has(bucket, name.removeprefix("has_"), rows), None
        values = self._gather(bucket, name, rows, cut)
        kept = name in LATENTS and values.dtype == np.int8
        return values, self._gather(bucket, name + SCALE, rows, cut) if kept else None

    def null_text(self, bucket: str) -> np.ndarray:
        """`(L, D)` states of the empty prompt."""
        file = self.opened(next(iter(self.parts(bucket).values())))
        return file.span("null_text", 0, file.shapes["null_text"][0]) if "null_text" in file.shapes else self._padded(0)

    def text(self, number: int) -> np.ndarray:
        """`(tokens, D)` of one text of the second layout, without padding; 0 is the empty prompt."""
        texts = self._text_files()
        first = max(start for start in texts if start <= number)
        file = self.opened(texts[first])
        begin, end = file.span("offsets", number - first, number - first + 2).tolist()
        return file.span("text", begin, end)

    def _text(self, bucket: str, rows: Sequence[int]) -> np.ndarray:
        file = self.opened(next(iter(self.parts(bucket).values())))
        if "text" in file.shapes:
            return self._gather(bucket, "text", rows)
        numbers = self._gather(bucket, "text" + ROW, rows).tolist()
        texts = {number: self._padded(number) for number in set(numbers)}
        return np.stack([texts[number] for number in numbers])

    def _padded(self, number: int) -> np.ndarray:
        text = self.text(number)
        tokens = int(self.opened(next(iter(self._text_files().values()))).metadata["tokens"])
        return np.pad(text, ((0, tokens - len(text)), (0, 0)))

    def _text_files(self) -> dict[int, Path]:
        if self._texts is None:
            self._texts = texts_of(self.folder, self.names)
        return self._texts

    def _has(self, bucket: str, what: str, rows: Sequence[int]) -> np.ndarray:
        file = self.opened(next(iter(self.parts(bucket).values())))
        if f"has_{what}" in file.shapes:
            return self._gather(bucket, f"has_{what}", rows)
        where = {"motion": "motion_latents", "audio": "audio"}[what] + ROW
        return (self._gather(bucket, where, rows) >= 0).astype(np.uint8)

    def _gather(self, bucket: str, name: str, rows: Sequence[int], cut: Cut = None) -> np.ndarray:
        """Rows out of a bucket's files, in the order asked for."""
        parts = self.parts(bucket)
        firsts = list(parts)
        by_part: dict[int, list[int]] = {}
        for index, row in enumerate(rows):
            by_part.setdefault(firsts[bisect_right(firsts, row) - 1], []).append(index)
        pieces = [
            _rows(self.opened(parts[first]), name, [rows[i] - first for i in indices], cut)
            for first, indices in by_part.items()
        ]
        if len(pieces) == 1:
            return pieces[0]
        out = np.empty((len(rows), *pieces[0].shape[1:]), pieces[0].dtype)
        for piece, indices in zip(pieces, by_part.values(), strict=True):
            out[indices] = piece
        return out


def _rows(file: TensorFile, name: str, rows: Sequence[int], cut: Cut) -> np.ndarray:
    sparse = name.removesuffix(SCALE)
    if sparse not in SPARSE or sparse + ROW not in file.shapes:
        return file.rows(name, rows, cut)
    where = file.rows(sparse + ROW, rows)
    found = file.rows(name, [number for number in where.tolist() if number >= 0], cut)
    if len(found) == len(rows):
        return found
    out = np.zeros((len(rows), *found.shape[1:]), found.dtype)
    out[where >= 0] = found
    return out
