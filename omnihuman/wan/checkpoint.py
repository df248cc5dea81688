"""Official Wan2.1 transformers on disk, in diffusers' layout or Wan's original one: opened, compared, read shard by shard.

Only headers are read until the comparison is done, so a wrong checkpoint is refused before any weight is in memory.
"""

import inspect
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from media.user_error import UserError, some_of
from media.weights import CONVERT, eight_bits
from omnihuman.errors import MissingWeights
from omnihuman.precision import stays_float32
from omnihuman.wan.dialects.formats import gguf_architecture, is_pickle
from omnihuman.wan.dialects.names import bare, key_to_diffusers
from omnihuman.wan.dialects.tensor_files import read_header
from omnihuman.wan.dialects.transformers import sort_keys

WEIGHTS = "diffusion_pytorch_model.safetensors"
WAN_CONFIG = tuple(name for name in inspect.signature(WanTransformer3DModel.__init__).parameters if name != "self")
OWN = "OmniHumanTransformer3DModel"
# What the published classes are called in `_class_name`, and how such a folder is laid out.
LAYOUTS = {"WanTransformer3DModel": "diffusers", "WanModel": "original"}
SHOWN = 5


class WanCheckpointError(UserError, ValueError):
    """A checkpoint that cannot be read as a whole Wan2.1 transformer; the message names the place, the keys and the remedy."""


@dataclass(frozen=True)
class StoredTensor:
    """Where a weight lies: file, its name there, and what the file's header says of it."""

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class WanCheckpoint:
    """An opened checkpoint.

    Attributes:
        source: folder or file.
        layout: "diffusers" or "original".
        config: arguments of diffusers' `WanTransformer3DModel`.
        tensors: by diffusers' key, whatever the layout.
    """

    source: Path
    layout: str
    config: dict[str, Any]
    tensors: dict[str, StoredTensor]

    def compare(self, expected: Mapping[str, torch.Size]) -> None:
        """Hold the checkpoint against the keys and shapes of its own configuration.

        Raises:
            WanCheckpointError: any published key is missing, left over, or has another shape; all of them are named.
        """
        ignored = WanTransformer3DModel._keys_to_ignore_on_load_unexpected or []
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
            raise _refused(self.source, [p for p in problems if p])

    def read(self, expected: Iterable[str], dtype: torch.dtype | None) -> Iterator[dict[str, Tensor]]:
        """Yield the weights of each file in turn, by diffusers' key, in the file's dtype or in `dtype`.

        What Wan keeps in float32 (`_keep_in_fp32_modules`) is float32 either way. Weights that stay as they are remain
        memory-mapped: they are in memory once, and privately, so training does not reach the file.
        """
        wanted = set(expected)
        for file in sorted({t.file for t in self.tensors.values()}):
            with safe_open(file, framework="pt") as opened:
                here = {k: t for k, t in self.tensors.items() if t.file == file and k in wanted}
                yield {k: opened.get_tensor(t.name).to(self.dtype_of(k, dtype)) for k, t in here.items()}

    def dtype_of(self, key: str, dtype: torch.dtype | None) -> torch.dtype:
        """In which dtype a weight is loaded."""
        if stays_float32(key):
            return torch.float32
        return dtype or _DTYPES[self.tensors[key].dtype]

    def _named(self, key: str) -> str:
        name = self.tensors[key].name
        return key if name == key else f"{name} ({key})"


_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class WanLoadReport:
    """Which weights of a model came from a checkpoint, and which are new. `str()` is for people.

    Attributes:
        source: folder or file.
        layout: "diffusers" or "original".
        dtypes: number of loaded keys by the dtype they have in the file.
        loaded: keys that came from the checkpoint: all of Wan's.
        new: keys of OmniHuman's own parts.
        loaded_parameters: numbers in the loaded keys.
        new_parameters: numbers in the new keys.
    """

    source: str
    layout: str
    dtypes: dict[str, int]
    loaded: tuple[str, ...]
    new: tuple[str, ...]
    loaded_parameters: int
    new_parameters: int

    @classmethod
    def of(cls, checkpoint: WanCheckpoint, shapes: Mapping[str, torch.Size]) -> "WanLoadReport":
        """Compare with all keys and shapes of a model."""
        loaded = tuple(k for k in shapes if k in checkpoint.tensors)
        new = tuple(k for k in shapes if k not in checkpoint.tensors)
        return cls(
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
            f"Wan2.1 transformer from {self.source} ({self.layout} layout)\n"
            f"  loaded: {len(self.loaded)} keys, {self.loaded_parameters:,} parameters ({dtypes})\n"
            f"  new:    {len(self.new)} keys, {self.new_parameters:,} parameters: {parts}"
        )


def open_wan(path_or_id: str | Path) -> WanCheckpoint:
    """Find a checkpoint's configuration and the headers of its weights.

    Args:
        path_or_id: a folder with `config.json` and safetensors; a pipeline's folder with such a `transformer` folder; one file of
            safetensors, whose sizes its shapes tell where no `config.json` is beside it; or a hub id of either layout. Keys are
            diffusers', Wan's own, or these with ComfyUI's prefix.

    Raises:
        MissingWeights: nothing there.
        WanCheckpointError: no configuration of a Wan2.1 text- or image-to-video model, files that are absent or cut off, numbers in
            eight bits (with or without their scales), GGUF, or a pickle.
        TensorFileError, TransformerFileError: one file without a configuration that is cut off, or no Wan transformer's.
    """
    source = _locate(path_or_id)
    folder = source if source.is_dir() else source.parent
    if source.is_file() and not (folder / "config.json").is_file():
        found = sort_keys(source, [read_header(source)])
        layout, config = "diffusers" if found.dialect == "diffusers" else "original", found.whole_config()
    else:
        layout, config = _configuration(folder / "config.json")
    stored, problems = _headers(folder, weight_files(source))
    if problems:
        raise _refused(source, problems)
    # By each key's own name: files of other tools are found beside a config.json of diffusers' too.
    renamed = {key_to_diffusers(bare(name)) or name: part for name, part in stored.items()}
    if len(renamed) < len(stored):
        kept = {part.name for part in renamed.values()}
        twice = some_of([name for name in stored if name not in kept], SHOWN)
        raise _refused(source, [f"it holds keys under the names of two tools, {twice} among them"])
    return WanCheckpoint(source, layout, config, renamed)


def _locate(path_or_id: str | Path) -> Path:
    path = Path(path_or_id).expanduser()
    if path.is_file():
        return _readable(path)
    if not path.exists():
        path = _fetch(str(path_or_id))
    for folder in (path, path / "transformer"):
        if (folder / "config.json").is_file():
            return folder
    raise WanCheckpointError(
        f"{path} has no config.json, nor has {path / 'transformer'}: give the folder of a Wan2.1 transformer, or one "
        ".safetensors file with its config.json beside it"
    )


def _readable(file: Path) -> Path:
    """A file, which is one of safetensors as far as its first bytes say."""
    if (architecture := gguf_architecture(file)) is not None:
        raise WanCheckpointError(
            f"{file} is a GGUF file ({architecture}), whose numbers are quantised in blocks, and no such numbers are computed with here: take the model in "
            "bfloat16 as safetensors from where it was published"
        )
    if is_pickle(file):
        raise WanCheckpointError(f"{file} is a pickle, which can run programs when it is read; {CONVERT}")
    return file


def _fetch(repository: str) -> Path:
    missing = f"no Wan2.1 transformer at {repository}: correct the path, or download the transformer folder of Wan-AI/Wan2.1-T2V-1.3B-Diffusers there"
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
        WanCheckpointError: the file is no JSON.
    """
    path = Path(folder) / "config.json"
    return _read_configuration(path).get("_class_name") if path.is_file() else None


def _read_configuration(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise WanCheckpointError(f"{path} is no JSON ({error}): download it again") from error


def _configuration(path: Path) -> tuple[str, dict[str, Any]]:
    if not path.is_file():
        raise WanCheckpointError(f"{path} is missing: put the checkpoint's own config.json there")
    config = _read_configuration(path)
    name, kind = config.get("_class_name"), config.get("model_type", "t2v")
    if name == OWN:
        raise WanCheckpointError(
            f"{path} is of an OmniHuman model already: OmniHumanTransformer3DModel.from_pretrained reads it"
        )
    if name not in LAYOUTS or kind not in ("t2v", "i2v"):
        raise WanCheckpointError(
            f"{path}: _class_name {name!r}, model_type {kind!r}; Wan2.1 text-to-video and image-to-video can be loaded "
            f"(_class_name one of {sorted(LAYOUTS)}, model_type 't2v' or 'i2v')"
        )
    if LAYOUTS[name] == "original":
        return "original", from_original(config, path)
    return "diffusers", {k: v for k, v in config.items() if k in WAN_CONFIG}


def from_original(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Wan's own argument names to diffusers'. What Wan2.1's code has as constants (CLIP width 1280) stays constant."""
    needed = ("dim", "num_heads", "num_layers", "ffn_dim")
    absent = [name for name in needed if name not in config]
    if absent:
        raise WanCheckpointError(f"{path} lacks {absent}: put the checkpoint's own config.json there")
    dim, image = config["dim"], config.get("model_type") == "i2v"
    return {
        "patch_size": tuple(config.get("patch_size", (1, 2, 2))),
        "num_attention_heads": config["num_heads"],
        "attention_head_dim": dim // config["num_heads"],
        "in_channels": config.get("in_dim", 16),
        "out_channels": config.get("out_dim", 16),
        "text_dim": config.get("text_dim", 4096),
        "freq_dim": config.get("freq_dim", 256),
        "ffn_dim": config["ffn_dim"],
        "num_layers": config["num_layers"],
        "cross_attn_norm": config.get("cross_attn_norm", True),
        "qk_norm": "rms_norm_across_heads" if config.get("qk_norm", True) else None,
        "eps": config.get("eps", 1e-6),
        "image_dim": 1280 if image else None,
        "added_kv_proj_dim": dim if image else None,
    }


def weight_files(source: Path) -> dict[Path, set[str] | None]:
    """Files to read of a file or folder, each with the keys that an index promises of it, or None without an index.

    Raises:
        WanCheckpointError: no file, or several without an index.
    """
    if source.is_file():
        return {source: None}
    index = source / f"{WEIGHTS}.index.json"
    if index.is_file():
        try:
            places: dict[str, str] = json.loads(index.read_text())["weight_map"]
        except (ValueError, KeyError) as error:
            raise WanCheckpointError(f"{index} is no index of shards ({error!r}): download it again") from error
        return {
            source / Path(file).name: {k for k, v in places.items() if v == file}
            for file in sorted(set(places.values()))
        }
    whole = [source / WEIGHTS] if (source / WEIGHTS).is_file() else sorted(source.glob("*.safetensors"))
    if len(whole) != 1:
        found = [path.name for path in whole] or "none"
        raise WanCheckpointError(
            f"{source} holds no {WEIGHTS} and no {index.name} (safetensors found: {found}): download the missing file, or name "
            "one .safetensors file"
        )
    return {whole[0]: None}


def _headers(folder: Path, files: Mapping[Path, set[str] | None]) -> tuple[dict[str, StoredTensor], list[str]]:
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
    strange = {t.name: t.dtype for t in stored.values() if t.dtype not in _DTYPES}
    if strange:
        raise WanCheckpointError(eight_bits(folder, strange))
    return stored, problems


def _listed(what: str, names: Iterable[str]) -> str:
    all_names = list(names)
    return f"{len(all_names)} {what}: {some_of(all_names, SHOWN)}" if all_names else ""


def _refused(source: Path, problems: list[str]) -> WanCheckpointError:
    return WanCheckpointError(
        f"{source} is no whole Wan2.1 transformer: {'; '.join(problems)}. Download these files again, or put the config.json "
        "there that belongs to them"
    )


def _part(key: str) -> list[str]:
    """The named part that a new key belongs to: `blocks.3.audio_attn.to_q.weight` is of `blocks.3.audio_attn`."""
    return key.split(".")[: 3 if key.startswith("blocks.") else 1]
