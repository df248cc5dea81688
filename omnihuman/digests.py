"""Hashes of weight folders: what a cached feature or a checkpoint was made with."""

import hashlib
from pathlib import Path
from typing import Any

from omnihuman.errors import MissingWeights

SOURCE = "_name_or_path"


def weights_digest(folder: str | Path) -> str:
    """sha256 over the names and bytes of a folder's `config.json` and safetensors.

    Raises:
        MissingWeights: the folder holds no safetensors.
    """
    root = Path(folder)
    files = (
        sorted(p for p in root.iterdir() if p.name == "config.json" or p.suffix == ".safetensors")
        if root.is_dir()
        else []
    )
    if not any(p.suffix == ".safetensors" for p in files):
        raise MissingWeights(f"no safetensors in {root}; put the weights there (hub ids are hashed after download)")
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def forget_source(model: Any) -> None:
    """Take the folder that a diffusers model was loaded from out of its configuration.

    diffusers would write it into the next `config.json`: the same weights would have another digest in another folder, and a
    published model would name folders of its maker's machine.
    """
    model._internal_dict = type(model.config)({name: value for name, value in model.config.items() if name != SOURCE})
