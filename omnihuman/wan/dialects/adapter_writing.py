"""A LoRA of a base in any of its dialects, with the bytes that it was read with."""

import json
import struct
from typing import Any

from omnihuman.wan.dialects.adapters import METADATA, PREFIX, Adapter, AdapterDialect, AdapterError
from omnihuman.wan.dialects.names import diffusers_name, flattened, to_diffusers
from omnihuman.wan.dialects.tensor_files import BYTES, StoredBytes


def written_as(adapter: Adapter, dialect: AdapterDialect) -> tuple[dict[str, StoredBytes], dict[str, str], dict[str, Any] | None]:  # fmt: skip
    """An adapter's tensors by a dialect's keys, the metadata of the file, and peft's configuration where it has a file of its own.

    The matrices keep their bytes. An alpha that gets a tensor has the kind of the matrices beside it, or float32 where that cannot hold it.

    Raises:
        AdapterError: an MMDiT's in a dialect of Wan's.
    """
    foreign = [module for module in adapter.updates if to_diffusers(module) is None]
    if foreign and dialect in ("kohya", "original"):
        raise AdapterError(
            f"{adapter.source} is of an MMDiT ({foreign[0]}), and {dialect} is a dialect of Wan's: its own tools read diffusers' or peft's"
        )
    down_name, up_name = ("lora_down", "lora_up") if dialect == "kohya" else ("lora_A", "lora_B")
    tensors: dict[str, StoredBytes] = {}
    for module, update in adapter.updates.items():
        named = module if dialect == "original" else flattened(module) if dialect == "kohya" else diffusers_name(module)
        stem = f"{PREFIX[dialect]}{named}"
        tensors[f"{stem}.{down_name}.weight"] = update.down
        tensors[f"{stem}.{up_name}.weight"] = update.up
        if dialect in ("kohya", "original"):
            tensors[f"{stem}.alpha"] = _one_number(update.alpha, update.down.dtype)
    # Large kinds first, so that every tensor begins at a multiple of its numbers' size.
    tensors = dict(sorted(tensors.items(), key=lambda item: (-BYTES[item[1].dtype], item[0])))
    if dialect in ("kohya", "original"):
        return tensors, {}, None
    config = _peft_config(adapter)
    if dialect == "peft":
        return tensors, {}, config
    prefix = PREFIX["diffusers"]
    return tensors, {METADATA: json.dumps({f"{prefix}{k}": v for k, v in config.items()}, sort_keys=True)}, None


def _one_number(value: float, dtype: str) -> StoredBytes:
    single = struct.pack("<f", value)
    if dtype == "BF16" and single[:2] == b"\0\0":
        return StoredBytes("BF16", (), held=single[2:])
    if dtype == "F16" and abs(value) < 65504 and struct.unpack("<e", struct.pack("<e", value))[0] == value:
        return StoredBytes("F16", (), held=struct.pack("<e", value))
    return StoredBytes("F32", (), held=single)


def _peft_config(adapter: Adapter) -> dict[str, Any]:
    """Peft's `LoraConfig` of the adapter: the commonest rank and alpha, and patterns for modules that have others."""
    ranks = {diffusers_name(module): update.rank for module, update in adapter.updates.items()}
    alphas = {diffusers_name(module): update.alpha for module, update in adapter.updates.items()}
    rank, alpha = (_commonest(list(values.values())) for values in (ranks, alphas))
    return {
        "peft_type": "LORA", "r": int(rank), "lora_alpha": alpha, "target_modules": sorted(ranks), "lora_dropout": 0.0, "bias": "none",
        "rank_pattern": {_exactly(m): r for m, r in ranks.items() if r != rank},
        "alpha_pattern": {_exactly(m): a for m, a in alphas.items() if a != alpha},
    }  # fmt: skip


def _exactly(module: str) -> str:
    """A pattern that peft matches with this module alone."""
    return module.replace(".", r"\.")


def _commonest(values: list[float]) -> float:
    return max(sorted(set(values)), key=values.count)
