"""Directories that appear whole: written beside their place, then renamed."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_directory(destination: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `destination` when the block ends well and vanishes when it does not."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".tmp-{destination.name}-"))
    try:
        yield beside
        beside.chmod(0o755)
        if destination.exists():
            # A non-empty directory cannot be renamed over, so the old one steps aside first.
            old = Path(tempfile.mkdtemp(dir=destination.parent, prefix=f".tmp-old-{destination.name}-"))
            destination.rename(old / destination.name)
            beside.rename(destination)
            shutil.rmtree(old)
        else:
            beside.rename(destination)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
