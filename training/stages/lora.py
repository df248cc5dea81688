"""Low-rank adaptation (LoRA, arXiv 2106.09685) of a base's own matrices, while OmniHuman's new parts train fully."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from omnihuman.bases.weights import new_parameters
from omnihuman.wan.dialects.adapters import Adapter, Update
from omnihuman.wan.dialects.in_memory import held
from omnihuman.wan.dialects.names import own_name
from profiles.schema import LoraConfig
from training.errors import TrainingError


def add_lora(model: Any, config: LoraConfig) -> None:
    """Freeze the base's weights, give the matrices in `config.targets` a trainable low-rank update, leave new parts trainable.

    Raises:
        TrainingError: a target names no matrix of the model.
    """
    from peft import LoraConfig as PeftConfig

    # What the base does not have starts at zero or at random: it cannot be adapted, only trained.
    new = new_parameters(model)
    matrices = [
        name for name, module in model.named_modules() if isinstance(module, nn.Linear) and f"{name}.weight" not in new
    ]
    targets = [name for name in matrices if any(name.endswith(target) for target in config.targets)]
    unmatched = [t for t in config.targets if not any(name.endswith(t) for name in targets)]
    if unmatched:
        raise TrainingError(
            f"lora.targets {unmatched} name no matrix of the backbone; there are for example {', '.join(_endings(matrices))}"
        )
    model.requires_grad_(False)
    model.add_adapter(
        PeftConfig(r=config.rank, lora_alpha=config.alpha, target_modules=targets, init_lora_weights=True)
    )
    for name, parameter in model.named_parameters():
        if name in new:
            parameter.requires_grad_(True)


def _endings(matrices: list[str]) -> list[str]:
    """Names of the matrices inside one block, each once."""
    inside = [name.split(".", 2)[2] for name in matrices if name.count(".") > 1 and name.split(".")[1].isdigit()]
    return sorted(set(inside))[:12]


def merged(weights: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Weights under plain names: W + (alpha / rank) B A where LoRA was, all others unchanged."""
    adapted = _adapted(model)
    plain = {}
    for name, weight in weights.items():
        if ".lora_" in name:
            continue
        plain[name.replace(".base_layer.", ".")] = weight
    with torch.no_grad():
        for name, module in adapted.items():
            for adapter, scale in module.scaling.items():
                down = weights[f"{name}.lora_A.{adapter}.weight"]
                up = weights[f"{name}.lora_B.{adapter}.weight"]
                plain[f"{name}.weight"] = plain[f"{name}.weight"] + scale * (up.float() @ down.float()).to(down)
    return plain


def trained_adapter(weights: dict[str, Tensor], model: Any) -> Adapter | None:
    """The low-rank updates alone, by the names of what they change; None of a model without LoRA, or of a base whose modules the reader of such files does not know."""
    updates = {}
    for name, module in _adapted(model).items():
        (adapter,), own = module.scaling, own_name(name)
        if own is None:
            return None
        down, up = (held(weights[f"{name}.lora_{half}.{adapter}.weight"]) for half in "AB")
        updates[own] = Update(down, up, float(module.scaling[adapter] * down.shape[0]))
    return Adapter(Path(), "diffusers", updates, "metadata") if updates else None


def _adapted(model: Any) -> dict[str, Any]:
    return {name: module for name, module in model.named_modules() if hasattr(module, "lora_A")}
