"""Moving weights between a base and OmniHuman's model around it: start from the base, report, save its part, and no silent gaps."""

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from media.files import whole_directory, whole_file
from media.weights import WrongWeights, check_numbers, check_report, fill
from omnihuman.bases.checkpoint import (
    Checkpoint,
    CheckpointError,
    LoadReport,
    locate,
    read_configuration,
    read_headers,
    refused,
    weight_files,
)
from omnihuman.errors import InputError, MissingWeights

REMEDY = "save it again with save_pretrained, or correct its config.json; from_base reads what was published"


def own_arguments(published: Any) -> tuple[str, ...]:
    """Names of the configuration of a published class."""
    return tuple(name for name in inspect.signature(published.__init__).parameters if name != "self")


def plain_configuration(
    config: Mapping[str, Any], path: Path, published: Any, unread: Sequence[str] = ()
) -> dict[str, Any]:
    """What a published class is built with.

    Args:
        config: as it stands in the file.
        path: of the file, for messages.
        published: diffusers' class.
        unread: keys that change nothing and are left out, as those are that begin with `_` and `quantization_config`, which is
            of the weights: what numbers they are in, their own headers say.

    Raises:
        CheckpointError: it has keys that the class does not take.
    """
    plain = {
        key: value
        for key, value in config.items()
        if not key.startswith("_") and key not in (*unread, "quantization_config")
    }
    if strange := sorted(plain.keys() - set(own_arguments(published))):
        raise CheckpointError(
            f"{path} has keys that diffusers' {published.__name__} does not take: {', '.join(strange)}; take the file that was "
            "published with these weights"
        )
    return plain


def open_published(path_or_id: str | Path, published: Any, name: str, example: str) -> Checkpoint:
    """Find the configuration and the headers of a transformer that diffusers wrote.

    Args:
        path_or_id: folder of the transformer or of its pipeline, or a hub id.
        published: diffusers' class.
        name: of the base, for people.
        example: hub id of one.

    Raises:
        MissingWeights: nothing there.
        CheckpointError: another class, a configuration that it does not take, files that are absent or cut off.
    """
    source = locate(path_or_id, name, example)
    folder = source if source.is_dir() else source.parent
    config = read_configuration(folder / "config.json")
    if config.get("_class_name") != published.__name__:
        raise CheckpointError(
            f"{folder / 'config.json'} is of the class {config.get('_class_name')!r}, and a {name} transformer is a {published.__name__}: name its "
            f"folder, as in {example}"
        )
    plain = plain_configuration(config, folder / "config.json", published)
    stored, problems = read_headers(folder, weight_files(source))
    if problems:
        raise refused(source, name, problems)
    return Checkpoint(source, "diffusers", plain, stored, published, name)


def bare_model(model: Any) -> Any:
    """The published model that a model of ours stands on, on the meta device."""
    with torch.device("meta"):
        return model.published(**{name: model.config[name] for name in own_arguments(model.published)})


def new_parameters(model: Any) -> frozenset[str]:
    """Names of the parameters that the base does not have. Ask before adapters are attached: they rename the base's own."""
    own = {name for name, _ in model.named_parameters()}
    return frozenset(own - {name for name, _ in bare_model(model).named_parameters()})


def load_base_part(model: Any, checkpoint: Checkpoint, report: LoadReport, dtype: torch.dtype | None) -> None:
    """Let the checkpoint's weights take their places in a model without memory."""
    remedy, later = "open the checkpoint again", (r"",)  # whole by `compare`; here one of its files after another
    for weights in checkpoint.read(report.loaded, dtype):
        fill(model, weights, checkpoint.source, remedy, may_lack=later, assign=True)


def settle_new_parts(model: nn.Module, dtype: torch.dtype) -> None:
    """Give parameters that the base does not have their dtype, once they are built.

    Raises:
        RuntimeError: one was not built and is still without memory.
    """
    for name in new_parameters(model):
        parameter = model.get_parameter(name)
        if parameter.is_meta:
            raise RuntimeError(f"{name} is built neither by build_new_parts nor by its block's build_new_parts")
        parameter.data = parameter.data.to(dtype)


def empty_for_base(
    model_class: Any, path_or_id: str | Path, new_parts: Mapping[str, Any]
) -> tuple[Any, Checkpoint, LoadReport]:
    """The model on the meta device, the checkpoint that fits it, and what of it would be loaded.

    Raises: as the class's `open_base` and `Checkpoint.compare`.
    """
    checkpoint = model_class.open_base(path_or_id)
    with torch.device("meta"):
        model = model_class(**checkpoint.config, **new_parts)
    checkpoint.compare({k: v.shape for k, v in bare_model(model).state_dict().items()})
    return model, checkpoint, LoadReport.of(checkpoint, {k: v.shape for k, v in model.state_dict().items()})


def save_base_part(model: Any, folder: Path) -> None:
    """Write the base's keys under its published class name.

    Raises:
        FileExistsError: the folder holds something.
        InputError: LoRA adapters are attached.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty: name a new folder for the base's weights")
    bare, own = bare_model(model), model.state_dict()
    if bare.state_dict().keys() - own.keys():
        raise InputError(
            "LoRA adapters are attached: fuse_lora() and unload_lora(), or delete_adapters(), before save_base"
        )
    fill(
        bare, {k: own[k] for k in bare.state_dict()}, "the model", "change no shapes of the base's weights", assign=True
    )
    with whole_directory(folder) as temporary:
        bare.save_pretrained(temporary)


def new_weights(model: Any) -> dict[str, Tensor]:
    """What the base does not have, by name; of a model without adapters."""
    bare = bare_model(model).state_dict()
    return {name: value for name, value in model.state_dict().items() if name not in bare}


def save_new_parts(model: Any, file: Path) -> None:
    """Write OmniHuman's own weights alone, whole or not at all."""
    weights = {name: value.detach().cpu().contiguous() for name, value in new_weights(model).items()}
    with whole_file(file) as temporary:
        save_file(weights, temporary, {"format": "pt"})


def load_new_parts(model: Any, file: Path) -> None:
    """Put the weights of `save_new_parts` into a model that stands on its base's.

    Raises:
        MissingWeights: no such file.
        WrongWeights: it lacks some, has others, or was saved of another configuration.
    """
    if not file.is_file():
        raise MissingWeights(f"{file} is not there: it lies beside the adapter of a stage that was trained with LoRA")
    check_numbers(file, REMEDY)
    base = tuple(f"{re.escape(name)}$" for name in bare_model(model).state_dict())
    fill(model, load_file(file), file, "take the file of a stage with this model's configuration", may_lack=base)


def check_loading_info(source: Any, info: dict[str, Any]) -> None:
    """Refuse what diffusers' `from_pretrained` only warns of: it fills missing weights with random ones.

    Raises:
        CheckpointError: (a ValueError) with the place and the keys.
    """
    try:
        check_report(source, info, REMEDY)
    except WrongWeights as error:
        raise CheckpointError(str(error)) from error
