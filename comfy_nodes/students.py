"""A student by folder, or by its name in the registry, for ComfyUI's graph."""

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError

from comfy_nodes.errors import NodeError
from omnihuman import OmniHumanPipeline
from omnihuman.errors import reading_weights
from omnihuman.placement import bring_pipeline, check_bfloat16, choose_device
from omnihuman.saved_encoders import INDEX, read_index
from tracking.mlflow_store import ADDRESS
from tracking.model_address import CHAMPION, SCHEME, ModelAddress
from tracking.registry import Registry, Version
from tracking.tracker import Tracker

NAME = "omnihuman-student"
DEFAULT = str(ModelAddress(NAME, CHAMPION))
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
REMEDY = f"give the folder of a whole pipeline (save_pretrained), or {DEFAULT}"


@dataclass(frozen=True)
class Student:
    """A pipeline; `model` and `version` are what its videos say of it, "" and 0 for one from a folder."""

    pipeline: OmniHumanPipeline
    model: str = ""
    version: int = 0


def load_student(model: str, device: str, dtype: str) -> Student:
    """Read one, whole and as it was signed.

    Args:
        model: folder of a whole pipeline, or NAME@ALIAS or NAME/VERSION of the registry at `$MLFLOW_TRACKING_URI`.
        device: as `omnihuman.placement.choose_device`.
        dtype: in which transformer and text encoder compute, a key of `DTYPES`.

    Raises:
        NodeError: no pipeline of this project's, or no registry named.
        tracking.registry.RegistryError: no such model, version or alias.
        tracking.model_address.ModelAddressError: it is neither a folder nor an address.
        provenance.signed_list.TamperedFiles: a registered version's file is not the one that was signed.
        omnihuman.errors.MissingWeights: files that cannot be read.
    """
    place = choose_device(device)
    if dtype == "bfloat16":
        check_bfloat16("dtype is bfloat16", "dtype to float32", place)
    found = find_student(model)
    if isinstance(found, Path):
        return Student(bring_pipeline(_read(found), place, DTYPES[dtype]))
    folder = _registry().folder(found.name, found.version)
    return Student(
        bring_pipeline(_read(folder), place, DTYPES[dtype]), f"{found.name} version {found.version}", found.version
    )


def state_of(model: str) -> str:
    """What changes when `model` means other weights: the version at an alias, or the times of a folder's files."""
    found = find_student(model)
    if isinstance(found, Path):
        return str(sorted((str(file), file.stat().st_mtime_ns) for file in found.rglob("*") if file.is_file()))
    return str(found.address)


def find_student(model: str) -> Path | Version:
    """A folder, or a registered version; raises as `load_student`."""
    place = Path(model).expanduser()
    if not model.startswith(SCHEME) and place.exists():
        if not (place / INDEX).is_file():
            raise NodeError(f"{model} holds no {INDEX}; {REMEDY}")
        return place
    return _registry().find(ModelAddress.parse(model, NAME))


def _registry() -> Registry:
    address = os.environ.get(ADDRESS)
    if not address:
        raise NodeError(
            f"${ADDRESS} is not set where ComfyUI was started, so there is no registry to ask; set it to the server's address or to "
            "sqlite:////HOME/var/mlflow.db, or give the folder of a whole pipeline"
        )
    return Registry(Tracker(address))


def _read(folder: Path) -> OmniHumanPipeline:
    try:
        kind = read_index(folder).get("_class_name")
    except (OSError, ValueError) as error:
        raise NodeError(f"{folder / INDEX} cannot be read as a pipeline's ({error}); {REMEDY}") from error
    if kind != OmniHumanPipeline.__name__:
        raise NodeError(f"{folder} holds a {kind} and no {OmniHumanPipeline.__name__}; {REMEDY}")
    try:
        with reading_weights(folder):
            return OmniHumanPipeline.from_pretrained(str(folder))
    except SafetensorError as error:
        raise NodeError(f"{folder} holds a file that is cut off or no safetensors ({error}); {REMEDY}") from error
