"""A base's transformer on disk: found, its headers read, compared with its own configuration, read shard by shard.

Only headers are read until the comparison is done, so a wrong checkpoint is refused before any weight is in memory.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from media.user_error import some_of
from media.weights import CONVERT, eight_bits
from omnihuman.bases.scales import joined_to_scales, scaled
from omnihuman.bases.stored_tensor import CheckpointError, StoredTensor
from omnihuman.errors import MissingWeights
from omnihuman.precision import stays_float32
from omnihuman.wan.dialects.formats import gguf_architecture, is_pickle

WEIGHTS = "diffusion_pytorch_model.safetensors"
SHOWN = 5


@dataclass(frozen=True)
class Checkpoint:
    """An opened checkpoint.

    Attributes:
        source: folder or file.
        layout: "diffusers" or "original".
        config: arguments of diffusers' class.
        tensors: by diffusers' key, whatever the layout.
        published: diffusers' class.
        name: of the base, for people.
    """

    source: Path
    layout: str
    config: dict[str, Any]
    tensors: dict[str, StoredTensor]
    published: Any
    name: str

    def compare(self, expected: Mapping[str, torch.Size]) -> None:
        """Hold the checkpoint against the keys and shapes of its own configuration.

        Raises:
            CheckpointError: any published key is missing, left over, or has another shape; all of them are named.
        """
        ignored = self.published._keys_to_ignore_on_load_unexpected or []
        left_over = [k for k in self.tensors if k not in expected and not any(part in k for part in ignored)]
        misshapen = [
            f"{self._named(k)} is {self.tensors[k].shape}, its configuration says {tuple(expected[k])}"
            for k in expected
            if k in self.tensors and self.tensors[k].shape != tuple(expected[k])
        ]
        problems = [
            _listed("missing", (k for k in expected if k not in self.tensors)),
            _listed("left over", (self._named(k) for k in left_over)),
            _listed("of another shape", misshapen),
        ]
        if any(problems):
            raise refused(self.source, self.name, [p for p in problems if p])

    def read(self, expected: Iterable[str], dtype: torch.dtype | None) -> Iterator[dict[str, Tensor]]:
        """Yield the weights of each file in turn, by diffusers' key, in the file's dtype or in `dtype`.

        What the base keeps in float32 (`_keep_in_fp32_modules`) is float32 either way. Weights that stay as they are remain
        memory-mapped: they are in memory once, and privately, so training does not reach the file.
        """
        wanted = set(expected)
        for file in sorted({t.file for t in self.tensors.values()}):
            with safe_open(file, framework="pt") as opened:
                here = {k: t for k, t in self.tensors.items() if t.file == file and k in wanted}
                yield {k: scaled(opened.get_tensor(t.name), t).to(self.dtype_of(k, dtype)) for k, t in here.items()}

    def dtype_of(self, key: str, dtype: torch.dtype | None) -> torch.dtype:
        """In which dtype a weight is loaded."""
        if stays_float32(key, self.published):
            return torch.float32
        stored = self.tensors[key]
        return dtype or (torch.bfloat16 if stored.scale else _DTYPES[stored.dtype])

    def _named(self, key: str) -> str:
        name = self.tensors[key].name
        return key if name == key else f"{name} ({key})"


_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class LoadReport:
    """Which weights of a model came from a checkpoint, and which are new. `str()` is for people.

    Attributes:
        name: of the base, for people.
        source: folder or file.
        layout: "diffusers" or "original".
        dtypes: number of loaded keys by the dtype they have in the file.
        loaded: keys that came from the checkpoint: all of the base's.
        new: keys of OmniHuman's own parts.
        loaded_parameters: numbers in the loaded keys.
        new_parameters: numbers in the new keys.
    """

    name: str
    source: str
    layout: str
    dtypes: dict[str, int]
    loaded: tuple[str, ...]
    new: tuple[str, ...]
    loaded_parameters: int
    new_parameters: int

    @classmethod
    def of(cls, checkpoint: Checkpoint, shapes: Mapping[str, torch.Size]) -> "LoadReport":
        """Compare with all keys and shapes of a model."""
        loaded = tuple(k for k in shapes if k in checkpoint.tensors)
        new = tuple(k for k in shapes if k not in checkpoint.tensors)
        return cls(
            checkpoint.name,
            str(checkpoint.source),
            checkpoint.layout,
            dict(Counter(checkpoint.tensors[k].dtype for k in loaded)),
            loaded,
            new,
            sum(shapes[k].numel() for k in loaded),
            sum(shapes[k].numel() for k in new),
        )

    def __str__(self) -> str:
        groups = Counter(".".join("*" if part.isdigit() else part for part in _part(key)) for key in self.new)
        parts = ", ".join(f"{name} ({count})" for name, count in groups.items())
        dtypes = ", ".join(f"{count} in {dtype}" for dtype, count in sorted(self.dtypes.items()))
        return (
            f"{self.name} transformer from {self.source} ({self.layout} layout)\n"
            f"  loaded: {len(self.loaded)} keys, {self.loaded_parameters:,} parameters ({dtypes})\n"
            f"  new:    {len(self.new)} keys, {self.new_parameters:,} parameters: {parts}"
        )


def locate(path_or_id: str | Path, name: str, example: str) -> Path:
    """Find the folder that holds a transformer's `config.json`, or the file that is one; a hub id is fetched.

    Args:
        path_or_id: folder of the transformer or of its pipeline, one file, or a hub id.
        name: of the base that is looked for.
        example: hub id of a pipeline that has one.

    Raises:
        MissingWeights: nothing there.
        CheckpointError: a folder without configuration, GGUF, or a pickle.
    """
    path = Path(path_or_id).expanduser()
    if path.is_file():
        return _readable(path)
    if not path.exists():
        path = _fetch(str(path_or_id), name, example)
    for folder in (path, path / "transformer"):
        if (folder / "config.json").is_file():
            return folder
    raise CheckpointError(
        f"{path} has no config.json, nor has {path / 'transformer'}: give the folder of a {name} transformer, or one "
        ".safetensors file with its config.json beside it"
    )


def _readable(file: Path) -> Path:
    """A file, which is one of safetensors as far as its first bytes say."""
    if (architecture := gguf_architecture(file)) is not None:
        raise CheckpointError(
            f"{file} is a GGUF file ({architecture}), whose numbers are quantised in blocks, and no such numbers are computed with here: take the model in "
            "bfloat16 as safetensors from where it was published"
        )
    if is_pickle(file):
        raise CheckpointError(f"{file} is a pickle, which can run programs when it is read; {CONVERT}")
    return file


def _fetch(repository: str, name: str, example: str) -> Path:
    missing = f"no {name} transformer at {repository}: correct the path, or download the transformer folder of {example} there"
    if repository.startswith((".", "/", "~")) or repository.count("/") != 1:
        raise MissingWeights(missing)
    try:
        patterns = [
            "config.json",
            "*.safetensors.index.json",
            "diffusion_pytorch_model*.safetensors",
            "transformer/*.json",
            "transformer/*.safetensors",
        ]
        return Path(snapshot_download(repository, allow_patterns=patterns))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise MissingWeights(f"{missing}. As a hub id it could not be fetched: {error}") from error


def class_name(folder: str | Path) -> str | None:
    """The class that a transformer's folder says it is of; None where there is no folder or its `config.json` names none.

    Raises:
        CheckpointError: the file is no JSON.
    """
    path = Path(folder) / "config.json"
    return read_configuration(path).get("_class_name") if path.is_file() else None


def read_configuration(path: Path) -> dict[str, Any]:
    """Raises CheckpointError of a file that is no JSON object."""
    try:
        read = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON ({error}): download it again") from error
    if not isinstance(read, dict):
        raise CheckpointError(f"{path} is no configuration, but a JSON {type(read).__name__}: download it again")
    return read


def weight_files(source: Path) -> dict[Path, set[str] | None]:
    """Files to read of a file or folder, each with the keys that an index promises of it, or None without an index.

    Raises:
        CheckpointError: no file, or several without an index.
    """
    if source.is_file():
        return {source: None}
    index = source / f"{WEIGHTS}.index.json"
    if index.is_file():
        try:
            places: dict[str, str] = json.loads(index.read_text())["weight_map"]
        except (ValueError, KeyError) as error:
            raise CheckpointError(f"{index} is no index of shards ({error!r}): download it again") from error
        return {
            source / Path(file).name: {k for k, v in places.items() if v == file}
            for file in sorted(set(places.values()))
        }
    whole = [source / WEIGHTS] if (source / WEIGHTS).is_file() else sorted(source.glob("*.safetensors"))
    if len(whole) != 1:
        found = [path.name for path in whole] or "none"
        raise CheckpointError(
            f"{source} holds no {WEIGHTS} and no {index.name} (safetensors found: {found}): download the missing file, or name "
            "one .safetensors file"
        )
    return {whole[0]: None}


def read_headers(folder: Path, files: Mapping[Path, set[str] | None]) -> tuple[dict[str, StoredTensor], list[str]]:
    """What the files of `weight_files` hold, by name, and what is wrong with them.

    Raises:
        CheckpointError: numbers in eight bits, but fp8 beside a scale of a known name.
    """
    stored: dict[str, StoredTensor] = {}
    problems = []
    for file, promised in files.items():
        if not file.is_file():
            problems.append(f"the index names {file.name}, which is not in {folder}")
            continue
        try:
            # As "pt" torch would map the whole file writable, which a machine with less memory than the file refuses.
            with safe_open(file, framework="np") as opened:
                for name in opened.keys():  # noqa: SIM118 - a safe_open is no mapping
                    part = opened.get_slice(name)
                    stored[name] = StoredTensor(file, name, tuple(part.get_shape()), part.get_dtype())
                absent = (promised or set()) - set(opened.keys())
        except (SafetensorError, OSError) as error:
            problems.append(f"{file} is cut off or no safetensors file ({error})")
            continue
        problems += [p for p in [_listed(f"promised by the index but not in {file.name}", sorted(absent))] if p]
    stored = joined_to_scales(stored)
    strange = {t.name: t.dtype for t in stored.values() if t.dtype not in _DTYPES and t.scale is None}
    if strange:
        raise CheckpointError(eight_bits(folder, strange))
    return stored, problems


def _listed(what: str, names: Iterable[str]) -> str:
    all_names = list(names)
    return f"{len(all_names)} {what}: {some_of(all_names, SHOWN)}" if all_names else ""


def refused(source: Path, name: str, problems: list[str]) -> CheckpointError:
    """The error of a checkpoint that is not whole."""
    return CheckpointError(
        f"{source} is no whole {name} transformer: {'; '.join(problems)}. Download these files again, or put the config.json "
        "there that belongs to them"
    )


def _part(key: str) -> list[str]:
    """The named part that a new key belongs to: `blocks.3.audio_attn.to_q.weight` is of `blocks.3.audio_attn`."""
    parts = key.split(".")
    return parts[: 3 if len(parts) > 1 and parts[1].isdigit() else 1]
