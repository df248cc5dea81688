"""The frozen networks of a saved pipeline, read by this project's own loader, which takes no files with gaps."""

import importlib
import json
from pathlib import Path
from typing import Any, cast

import torch

from media.weights import load_network
from omnihuman.conditions.audio import AUDIO_BESIDE, AUDIO_UNUSED
from omnihuman.conditions.text import ENCODERS as TEXT_ENCODERS
from omnihuman.conditions.text import TEXT_BESIDE, TOKENIZERS

INDEX = "model_index.json"
# By name in it: what may be missing from the files, and what may stand beside the network.
ENCODERS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "vae": ((), ()),
    **dict.fromkeys(TEXT_ENCODERS, ((), TEXT_BESIDE)),
    "audio_encoder": (AUDIO_UNUSED, AUDIO_BESIDE),
}
FROZEN = (*ENCODERS, *TOKENIZERS)  # what no training changes, by name in the index
LIBRARIES = ("diffusers", "transformers")
REMEDY = "save the pipeline again with save_pretrained, or download it again"


def read_index(folder: Path) -> dict[str, Any]:
    """What a pipeline's folder says of itself and its parts; empty where it says nothing.

    Raises:
        OSError, ValueError: a file that cannot be read.
    """
    if not (folder / INDEX).is_file():
        return {}
    said = json.loads((folder / INDEX).read_text())
    if not isinstance(said, dict):
        raise ValueError(f"{INDEX} holds no JSON object")
    return said


def load_encoders(folder: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Those of a pipeline's folder that the caller of `from_pretrained` does not bring along.

    Args:
        folder: of a pipeline.
        asked: the keywords of `from_pretrained`.

    Raises:
        media.weights.WrongWeights: one of them is not whole.
    """
    kinds = read_index(folder)
    return {
        name: _load(folder / name, kinds[name], _dtype(name, asked), asked.get("variant"), *differences)
        for name, differences in ENCODERS.items()
        if name not in asked and (kinds.get(name) or [None])[0] in LIBRARIES
    }


def _load(
    folder: Path,
    kind: tuple[str, str],
    dtype: torch.dtype,
    variant: str | None,
    may_lack: tuple[str, ...],
    may_have: tuple[str, ...],
) -> Any:
    library, name = kind
    options: dict[str, Any] = {"dtype" if library == "transformers" else "torch_dtype": dtype}
    if variant is not None:
        options["variant"] = variant
    model_class = getattr(importlib.import_module(library), name)
    return load_network(model_class, folder, REMEDY, may_lack=may_lack, may_have=may_have, **options).eval()


def _dtype(name: str, asked: dict[str, Any]) -> torch.dtype:
    """float32 where nothing is asked, as diffusers reads a pipeline; transformers alone would take the files'."""
    said = asked.get("dtype") or asked.get("torch_dtype") or torch.float32
    return cast(torch.dtype, said.get(name, said.get("default", torch.float32)) if isinstance(said, dict) else said)
