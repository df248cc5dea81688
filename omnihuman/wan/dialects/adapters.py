"""LoRA files of Wan in four dialects, and of MMDiTs in diffusers' and peft's, read into one form.

| dialect | who writes it | a key |
| --- | --- | --- |
| diffusers | `save_lora_weights` of diffusers' pipelines | `transformer.blocks.0.attn1.to_q.lora_A.weight` |
| peft | `save_pretrained` of peft, a folder | `base_model.model.blocks.0.attn1.to_q.lora_A.weight` |
| kohya | musubi-tuner, sd-scripts | `lora_unet_blocks_0_self_attn_q.lora_down.weight` |
| original | trainers on Wan's own code, ComfyUI | `diffusion_model.blocks.0.self_attn.q.lora_A.weight` |

The update is alpha / rank x up x down (arXiv 2106.09685, section 4.1). Kohya and original keep alpha beside the matrices; diffusers in the file's metadata;
peft in `adapter_config.json`.
"""

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from media.user_error import UserError, some_of
from omnihuman.wan.dialects.names import diffusers_name, own_name, to_diffusers, unflattened
from omnihuman.wan.dialects.tensor_files import StoredBytes, TensorFile, read_header

AdapterDialect = Literal["diffusers", "peft", "kohya", "original"]
ADAPTER_DIALECTS: tuple[AdapterDialect, ...] = get_args(AdapterDialect)
DIFFUSERS_WEIGHTS = "pytorch_lora_weights.safetensors"  # `load_lora_weights(folder)` finds it
PEFT_WEIGHTS, PEFT_CONFIG = "adapter_model.safetensors", "adapter_config.json"
METADATA = "lora_adapter_metadata"  # diffusers' key for what peft keeps in adapter_config.json
PREFIX = {
    "diffusers": "transformer.",
    "peft": "base_model.model.",
    "kohya": "lora_unet_",
    "original": "diffusion_model.",
}
_DOWN = re.compile(r"(.+)\.(?:lora_A(?:\.[^.]+)?|lora_down(?:\.[^.]+)?|lora\.down)\.weight")
_UP = re.compile(r"(.+)\.(?:lora_B(?:\.[^.]+)?|lora_up(?:\.[^.]+)?|lora\.up)\.weight")
_ALPHA = re.compile(r"(.+)\.alpha")
# What is more than two matrices and a number. Dropping it in silence would give another network.
_OTHER_KINDS = {
    "dora_scale": "DoRA", "lora_magnitude_vector": "DoRA", "hada_": "LoHa", "lokr_": "LoKr", "oft_": "OFT", "lora_mid": "a LoRA of convolutions",
    ".diff": "whole differences of weights", ".diff_b": "differences of biases", "lora_B.bias": "a LoRA with biases",
}  # fmt: skip
SHOWN = 4


class AdapterError(UserError, ValueError):
    """A LoRA file that cannot be taken for what it is; the message names the file, both sides and the remedy."""


@dataclass(frozen=True)
class Update:
    """What a LoRA adds to one matrix.

    Attributes:
        down: `(rank, in)`.
        up: `(out, rank)`.
        alpha: over the rank, the update's scale.
    """

    down: StoredBytes
    up: StoredBytes
    alpha: float

    @property
    def rank(self) -> int:
        """Of the update."""
        return self.down.shape[0]


@dataclass(frozen=True)
class Adapter:
    """A LoRA file, whatever its dialect.

    Attributes:
        source: file or folder.
        dialect: in which it is.
        updates: by Wan's own name of the module, or diffusers' of an MMDiT's.
        alpha_from: where alpha stands: "tensors", "metadata", "adapter_config.json", or "rank" where nothing says it.
    """

    source: Path
    dialect: AdapterDialect
    updates: dict[str, Update]
    alpha_from: str


def read_adapter(path: Path, alpha: float | None = None) -> Adapter:
    """Read a LoRA file, or peft's folder of one.

    Args:
        path: a `.safetensors` file, or a folder with `adapter_model.safetensors` and `adapter_config.json`.
        alpha: for a file in which it is missing.

    Raises:
        AdapterError: keys of two dialects, of no module of a base, of another kind of adapter; a matrix without its other half, of rank 0 or
            that does not fit it; alpha that is missing.
        TensorFileError: no whole safetensors file.
    """
    file = read_header(path / PEFT_WEIGHTS if path.is_dir() else path)
    strange = {kind: key for key in file.tensors for part, kind in _OTHER_KINDS.items() if part in key}
    if strange:
        said = "; ".join(f"{kind} ({key})" for kind, key in sorted(strange.items()))
        raise AdapterError(
            f"{path} holds {said}, which is more than a LoRA's two matrices and their alpha: take a file that its trainer exported as "
            "plain LoRA, or merge it into the base with the tool that made it"
        )
    dialect, halves, alphas = _sorted_keys(path, file)
    whole = _whole(path, halves)
    alpha_of, alpha_from = _alphas(path, file, dialect, whole, alphas, alpha)
    updates = {module: Update(down, up, alpha_of[module]) for module, (down, up) in whole.items()}
    return Adapter(path, dialect, updates, alpha_from)


def is_adapter(file: TensorFile) -> bool:
    """Whether a file's keys are those of an adapter."""
    return any(_DOWN.fullmatch(key) or _UP.fullmatch(key) for key in file.tensors)


def _sorted_keys(
    path: Path, file: TensorFile
) -> tuple[AdapterDialect, dict[str, dict[str, StoredBytes]], dict[str, float]]:
    """The dialect, the halves by module, and the alphas that stand beside them."""
    halves: dict[str, dict[str, StoredBytes]] = {}
    alphas: dict[str, float] = {}
    seen: dict[AdapterDialect, str] = {}
    foreign = []
    for key, stored in file.tensors.items():
        found = next(
            ((kind, m[1]) for kind, pattern in (("down", _DOWN), ("up", _UP), ("alpha", _ALPHA)) if (m := pattern.fullmatch(key))),
            None,
        )  # fmt: skip
        place = _module_of(found[1]) if found else None
        if found is None or place is None:
            foreign.append(key)
            continue
        dialect, module = place
        seen.setdefault(dialect, key)
        if found[0] == "alpha":
            alphas[module] = _number(path, key, stored)
        elif found[0] in halves.setdefault(module, {}):
            raise AdapterError(
                f"{path} holds {module} twice, as {key} too: split the file by adapter, or take one of the two"
            )
        else:
            halves[module][found[0]] = stored
    if len(seen) > 1:
        both = " and ".join(f"{dialect} keys ({key})" for dialect, key in seen.items())
        raise AdapterError(f"{path} mixes {both}: take them apart into a file of each before you convert")
    if foreign or not seen:
        raise AdapterError(
            f"{path} holds {some_of(foreign, SHOWN) or 'no key'} that is no LoRA of a module of Wan's transformer or of an MMDiT by diffusers' names; for "
            "example transformer.blocks.0.attn1.to_q.lora_A.weight or diffusion_model.blocks.0.self_attn.q.lora_down.weight would be. "
            "Is it of another base model?"
        )
    return next(iter(seen)), halves, alphas


def _module_of(name: str) -> tuple[AdapterDialect, str] | None:
    """Dialect and own name of a module; names without a prefix are told apart by how they call the module."""
    if name.startswith(PREFIX["kohya"]):
        own = unflattened(name.removeprefix(PREFIX["kohya"]))
        return ("kohya", own) if own else None
    for dialect in ("peft", "diffusers"):
        if name.startswith(PREFIX[dialect]):
            own = own_name(name.removeprefix(PREFIX[dialect]))
            return (dialect, own) if own else None
    bare = name.removeprefix(PREFIX["original"])
    if to_diffusers(bare):
        return "original", bare
    own = own_name(name)
    return ("diffusers", own) if own else None


def _number(path: Path, key: str, stored: StoredBytes) -> float:
    """A tensor of one number."""
    data = stored.read()
    if stored.dtype == "BF16" and len(data) == 2:
        return float(struct.unpack("<f", b"\0\0" + data)[0])
    code = {"F16": "<e", "F32": "<f", "F64": "<d", "I32": "<i", "I64": "<q"}.get(stored.dtype)
    if code is None or len(data) != struct.calcsize(code):
        raise AdapterError(
            f"{path}: {key} is {stored.dtype} of shape {stored.shape}, and alpha is one number: export the file again"
        )
    return float(struct.unpack(code, data)[0])


def _whole(path: Path, halves: Mapping[str, Mapping[str, StoredBytes]]) -> dict[str, tuple[StoredBytes, StoredBytes]]:
    lonely = [f"{module} ({next(iter(found), 'alpha')} alone)" for module, found in halves.items() if len(found) < 2]
    if lonely:
        raise AdapterError(
            f"{path} holds half of the update of {some_of(lonely, SHOWN)}: it is cut off or was taken apart; fetch it again"
        )
    out = {}
    for module, found in halves.items():
        down, up = found["down"], found["up"]
        fit = len(down.shape) == len(up.shape) == 2 and down.shape[0] == up.shape[1]
        if not fit or down.shape[0] == 0:
            what = "rank 0 changes nothing" if fit else "(rank, in) and (out, rank) share the rank"
            raise AdapterError(
                f"{path}: {module} is {down.shape} down and {up.shape} up, and {what}: export the file again"
            )
        out[module] = (down, up)
    return out


def _alphas(
    path: Path, file: TensorFile, dialect: AdapterDialect, whole: Mapping[str, Any], beside: dict[str, float], given: float | None
) -> tuple[dict[str, float], str]:  # fmt: skip
    """Alpha of each module and where it stands."""
    lacking = [module for module in whole if module not in beside]
    orphans = [module for module in beside if module not in whole]
    if orphans:
        raise AdapterError(
            f"{path} holds alpha of {some_of(orphans, SHOWN)} but no matrices of it: it is cut off; fetch it again"
        )
    if beside and lacking:
        raise AdapterError(
            f"{path} holds alpha of {len(beside)} modules, {next(iter(beside))} among them, and none of {some_of(lacking, SHOWN)}: export the file again, "
            "for a guess would scale these by another number than they were trained with"
        )
    if beside:
        return beside, "tensors"
    config, place = _configuration(path, file, dialect)
    if config is not None:
        patterns = config.get("alpha_pattern") or {}
        return {
            module: float(_by_pattern(patterns, diffusers_name(module), config.get("lora_alpha", given or 0)))
            for module in whole
        }, place
    if given is not None:
        return dict.fromkeys(whole, given), "you"
    if dialect == "kohya":
        raise AdapterError(
            f"{path} has kohya's keys without alpha, which its trainers always write: what was it trained with? Say it by --alpha NUMBER (the rank, "
            f"{next(iter(whole.values()))[0].shape[0]}, where the update is to count as it is)"
        )
    return {module: float(down.shape[0]) for module, (down, _) in whole.items()}, "rank"


def _configuration(path: Path, file: TensorFile, dialect: AdapterDialect) -> tuple[dict[str, Any] | None, str]:
    """Peft's configuration of the adapter, where the file or the folder has one."""
    try:
        if METADATA in file.metadata:
            held = json.loads(file.metadata[METADATA])
            prefix = PREFIX["diffusers"]
            return {name.removeprefix(prefix): value for name, value in held.items()}, "metadata"
        if path.is_dir() or (dialect == "peft" and (path.parent / PEFT_CONFIG).is_file()):
            return json.loads(((path if path.is_dir() else path.parent) / PEFT_CONFIG).read_text()), PEFT_CONFIG
    except (ValueError, AttributeError, OSError) as error:
        raise AdapterError(f"{path}: what says its rank and alpha cannot be read ({error}): export it again") from error
    return None, ""


def _by_pattern(patterns: Mapping[str, float], module: str, otherwise: float) -> float:
    """Peft's rule: a pattern holds for a module that is called so or ends so."""
    for pattern, value in patterns.items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            return value
    return otherwise
