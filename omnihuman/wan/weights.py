"""Moving weights between Wan2.1 and OmniHuman's model: start from Wan, report, save Wan's part, and no silent gaps."""

import re
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from safetensors.torch import load_file, save_file
from torch import Tensor

from media.files import whole_directory, whole_file
from media.weights import WrongWeights, check_numbers, check_report, fill
from omnihuman.errors import InputError, MissingWeights
from omnihuman.wan.checkpoint import WAN_CONFIG, WanCheckpoint, WanCheckpointError, WanLoadReport, open_wan

REMEDY = "save it again with save_pretrained, or correct its config.json; from_wan reads an official Wan2.1 one"
# OmniHuman's transformer, which is built upon this module.
Model = TypeVar("Model", bound=WanTransformer3DModel)


def base_model(config: Any) -> WanTransformer3DModel:
    """The Wan model that a model of ours with this configuration stands on, on the meta device."""
    with torch.device("meta"):
        return WanTransformer3DModel(**{name: config[name] for name in WAN_CONFIG})


def new_parameters(model: WanTransformer3DModel) -> frozenset[str]:
    """Names of the parameters that Wan does not have. Ask before adapters are attached: they rename Wan's own."""
    own = {name for name, _ in model.named_parameters()}
    return frozenset(own - {name for name, _ in base_model(model.config).named_parameters()})


def load_wan_part(
    model: WanTransformer3DModel, checkpoint: WanCheckpoint, report: WanLoadReport, dtype: torch.dtype | None
) -> None:
    """Let the checkpoint's weights take their places in a model without memory, and build the tables that no checkpoint holds."""
    remedy, later = "open the checkpoint again", (r"",)  # whole by `compare`; here one of its files after another
    for weights in checkpoint.read(report.loaded, dtype):
        fill(model, weights, checkpoint.source, remedy, may_lack=later, assign=True)
    config = model.config
    model.rope = WanRotaryPosEmbed(config.attention_head_dim, config.patch_size, config.rope_max_seq_len)


def settle_new_parts(model: WanTransformer3DModel, dtype: torch.dtype) -> None:
    """Give parameters that Wan does not have their dtype, once they are built.

    Raises:
        RuntimeError: one was not built and is still without memory.
    """
    for name in new_parameters(model):
        parameter = model.get_parameter(name)
        if parameter.is_meta:
            raise RuntimeError(f"{name} is built neither by _build_new_parts nor by its block's build_new_parts")
        parameter.data = parameter.data.to(dtype)


def empty_for_wan(
    model_class: type[Model], path_or_id: str | Path, new_parts: dict[str, Any]
) -> tuple[Model, WanCheckpoint, WanLoadReport]:
    """The model on the meta device, the checkpoint that fits it, and what of it would be loaded.

    Raises: as `open_wan` and `WanCheckpoint.compare`.
    """
    checkpoint = open_wan(path_or_id)
    with torch.device("meta"):
        model = model_class(**checkpoint.config, **new_parts)
    checkpoint.compare({k: v.shape for k, v in base_model(model.config).state_dict().items()})
    return model, checkpoint, WanLoadReport.of(checkpoint, {k: v.shape for k, v in model.state_dict().items()})


def save_wan_part(model: WanTransformer3DModel, folder: Path) -> None:
    """Write Wan's keys under Wan's class name.

    Raises:
        FileExistsError: the folder holds something.
        InputError: LoRA adapters are attached.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty: name a new folder for Wan's weights")
    wan, own = base_model(model.config), model.state_dict()
    if wan.state_dict().keys() - own.keys():
        raise InputError(
            "LoRA adapters are attached: fuse_lora() and unload_lora(), or delete_adapters(), before save_wan"
        )
    fill(wan, {k: own[k] for k in wan.state_dict()}, "the model", "change no shapes of Wan's weights", assign=True)
    with whole_directory(folder) as temporary:
        wan.save_pretrained(temporary)


def new_weights(model: WanTransformer3DModel) -> dict[str, Tensor]:
    """What Wan does not have, by name; of a model without adapters."""
    wan = base_model(model.config).state_dict()
    return {name: value for name, value in model.state_dict().items() if name not in wan}


def save_new_parts(model: WanTransformer3DModel, file: Path) -> None:
    """Write OmniHuman's own weights alone, whole or not at all."""
    weights = {name: value.detach().cpu().contiguous() for name, value in new_weights(model).items()}
    with whole_file(file) as temporary:
        save_file(weights, temporary, {"format": "pt"})


def load_new_parts(model: WanTransformer3DModel, file: Path) -> None:
    """Put the weights of `save_new_parts` into a model that stands on Wan's.

    Raises:
        MissingWeights: no such file.
        WrongWeights: it lacks some, has others, or was saved of another configuration.
    """
    if not file.is_file():
        raise MissingWeights(f"{file} is not there: it lies beside the adapter of a stage that was trained with LoRA")
    check_numbers(file, REMEDY)
    wan = tuple(f"{re.escape(name)}$" for name in base_model(model.config).state_dict())
    fill(model, load_file(file), file, "take the file of a stage with this model's configuration", may_lack=wan)


def check_loading_info(source: Any, info: dict[str, Any]) -> None:
    """Refuse what diffusers' `from_pretrained` only warns of: it fills missing weights with random ones.

    Raises:
        WanCheckpointError: (a ValueError) with the place and the keys.
    """
    try:
        check_report(source, info, REMEDY)
    except WrongWeights as error:
        raise WanCheckpointError(str(error)) from error
