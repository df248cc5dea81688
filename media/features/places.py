"""Where a shard's features stand: one bucket's rows in files of at most `MAX_BYTES`, and the shard's texts beside them."""

from collections.abc import Iterable
from pathlib import Path

LAYOUT = (
    "2"  # of the metadata of every file; files without one are of the first layout: a file per bucket, every row padded
)
MAX_BYTES = (
    256_000_000  # of a file: a reader in an object store, or a push that is broken off, begins again with one of them
)
TEXTS = "text"
# Tensors that are kept in the dtype that the profile names. One of 8 bits has its scales beside it, under this ending.
LATENTS = ("latents", "reference_latents", "motion_latents")
SCALE = "_scale"
# Tensors that only some samples have: rows are counted by another tensor, under this ending; -1 is none.
SPARSE = ("motion_latents", "audio")
ROW = "_row"


def features_file(folder: Path, bucket: str, first: int | None = None) -> Path:
    """The file of one bucket whose rows begin at `first`; None is the file of the first layout, which has all rows."""
    return folder / f"features-{bucket if first is None else part_name(bucket, first)}.safetensors"


def part_name(bucket: str, first: int) -> str:
    """What tells a bucket's files apart: `64x64x17@16-000000` holds the rows from 0 on."""
    return f"{bucket}-{first:06d}"


def file_named(folder: Path, name: str) -> Path:
    """The file that the metadata of samples.parquet calls `name`: a part of a bucket, a bucket of the first layout, or texts."""
    return folder / (f"{name}.safetensors" if name.startswith(f"{TEXTS}-") else f"features-{name}.safetensors")


def parts_of(folder: Path, bucket: str, names: Iterable[str] | None = None) -> dict[int, Path]:
    """First row to file, in order; the file of the first layout begins at 0. `names` are the folder's files where it is no local one."""
    whole = features_file(folder, bucket)
    if whole.is_file() if names is None else whole.name in names:
        return {0: whole}
    return _numbered(folder, f"features-{bucket}", names)


def texts_of(folder: Path, names: Iterable[str] | None = None) -> dict[int, Path]:
    """First text to file, in order; none in the first layout."""
    return _numbered(folder, TEXTS, names)


def _numbered(folder: Path, stem: str, names: Iterable[str] | None) -> dict[int, Path]:
    found = {}
    there = folder.glob(f"{stem}-*.safetensors") if names is None else (folder / name for name in names)
    for path in sorted(there):
        number = path.stem.rpartition("-")[2]
        if path.stem == f"{stem}-{number}" and number.isdigit():
            found[int(number)] = path
    return found
