"""Hashes of weight folders: what a cached feature or a checkpoint was made with."""

import hashlib
from pathlib import Path


def weights_digest(folder: str | Path) -> str:
    """sha256 over the names and bytes of a folder's `config.json` and safetensors.

    Raises:
        FileNotFoundError: the folder holds no safetensors.
    """
    root = Path(folder)
    files = sorted(p for p in root.iterdir() if p.name == "config.json" or p.suffix == ".safetensors") if root.is_dir() else []
    if not any(p.suffix == ".safetensors" for p in files):
        raise FileNotFoundError(f"no safetensors in {root}; put the weights there (hub ids are hashed after download)")
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
