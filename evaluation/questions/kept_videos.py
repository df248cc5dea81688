"""What is measured of long videos, kept in a folder until all of it is: whose folder it is, one run at a time in it, and what goes at the end."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from media.file_lock import take_lock
from media.user_error import UserError

# Counted up where the same pipeline's videos would be drawn, made or measured otherwise than before, so that no run goes on from the old numbers.
MEASURING = 1


class KeptVideosBusy(UserError):
    """Another run measures into the same folder."""


def kept_name(pipeline: Any, segments: int, segment_frames: int, seed: int, steps: int | None) -> str:
    """Name the folder of what is measured of one pipeline under one set of settings: 16 hexadecimal digits.

    It is of what the pipeline holds and not of where that was read from: its configuration, every weight of its networks to the bit, its
    tokenizers, its scheduler and its device. So another autoencoder or audio encoder in the same folder is another pipeline.

    Args:
        pipeline: an `OmniHumanPipeline`.
        segments, segment_frames, seed, steps: as of `evaluation.questions.drift_over_seeds.measure_drift_over_seeds`.
    """
    digest = hashlib.sha256()
    settings = [
        MEASURING,
        segments,
        segment_frames,
        seed,
        steps,
        str(pipeline.device),
        _without_places(pipeline.config),
    ]
    digest.update(_as_bytes(settings))
    for name, part in sorted(pipeline.components.items()):
        digest.update(_as_bytes([name, type(part).__name__, _settings_of(part)]))
        if isinstance(part, torch.nn.Module):
            for key, tensor in part.state_dict().items():
                for piece in _pieces(tensor):
                    digest.update(_as_bytes([key, str(piece.dtype), list(piece.shape)]))
                    digest.update(piece.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _settings_of(part: Any) -> Any:
    """Of a network or a scheduler its configuration, of a tokenizer all that it cuts a text by."""
    if hasattr(part, "get_vocab"):
        backend = getattr(part, "backend_tokenizer", None)
        return [part.get_vocab() if backend is None else backend.to_str(), part.special_tokens_map, part.padding_side]
    config = getattr(part, "config", {})
    return _without_places(config.to_dict() if hasattr(config, "to_dict") else config)


def _without_places(config: Any) -> dict[str, Any]:
    """A configuration without what libraries add to it, such as the folder that it was read from."""
    return {name: value for name, value in dict(config).items() if not name.startswith("_")}


def _pieces(tensor: Tensor) -> Iterator[Tensor]:
    """The tensor, or those that a quantised one is made of."""
    if not hasattr(tensor, "__tensor_flatten__"):
        yield tensor
        return
    for name in tensor.__tensor_flatten__()[0]:
        yield from _pieces(getattr(tensor, name))


def _as_bytes(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode() + b"\0"


@contextmanager
def holding_alone(folder: Path) -> Iterator[None]:
    """Keep other runs out of the folder during the block; the lock lies beside it and ends with the process, however that ends.

    Raises:
        KeptVideosBusy: another run holds it.
    """
    busy = f"another run measures the same videos into {folder}; wait for it, or stop it and start this again"
    with take_lock(folder.with_name(folder.name + ".lock"), lambda: KeptVideosBusy(busy)):
        yield


def remove_kept(folder: Path, files: Iterable[Path]) -> None:
    """Remove these files, and the folder where nothing else is in it: a run of more seeds or clips goes on from its own."""
    for file in files:
        file.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
