"""A training that goes on from the champion: stages 1 and 2 take its teacher's weights over as they are, stage 3 trains them on."""

import shutil
from pathlib import Path
from typing import Any

from assets.core.names import MODELS, TEACHER, TRANSFORMER
from assets.core.steps import AssetError, Execution, Metadata
from assets.core.training_start import BY_HAND, ChampionStart
from assets.core.workspace import Workspace
from media import whole_directory
from media.records import ProductRecord
from omnihuman.digests import weights_digest
from provenance.signed_list import TamperedFiles
from tracking.registry import RegistryError


def teacher_folder(workspace: Workspace, start: ChampionStart) -> Path:
    """Find the transformer of the start's teacher in the registry, and compare its bytes with what was registered.

    Raises:
        AssetError: they are gone, or others.
    """
    what = f"{workspace.start} begins from {TEACHER} {start.teacher}"
    try:
        folder = workspace.registry.folder(TEACHER, start.teacher) / TRANSFORMER
        digest = weights_digest(folder)
    except (RegistryError, OSError) as error:
        raise AssetError(
            f"{what}, whose files are gone ({error}); bring the artifacts of {workspace.tracker} back, {BY_HAND}"
        ) from error
    except TamperedFiles as error:
        raise AssetError(
            f"{what}, whose files are not as they were signed ({error}); restore them, {BY_HAND}"
        ) from error
    if digest != start.files:
        raise AssetError(
            f"{what}, whose files at {folder} hash to {digest[:12]}, registered were {start.files[:12]}; restore them, {BY_HAND}"
        )
    return folder


def take_over(execution: Execution, start: ChampionStart, above: str | None) -> Metadata:
    """Make a stage's product of the start's weights as they are: from the registry, or from the stage above.

    Raises:
        AssetError: as `teacher_folder`.
    """
    workspace, name = execution.workspace, execution.name
    source = teacher_folder(workspace, start) if above is None else workspace.data(above) / TRANSFORMER
    record: dict[str, Any] = {
        "name": name, "kind": "taken over", "profile": workspace.profile.name, "steps": 0, "continued_from": str(start),
        "parent": above or MODELS[TEACHER], "parent_weights": start.files if above else start.weights,
        "weights_digest": start.files, "snapshot_digest": start.snapshot, "mlflow_run_id": None,
        "seen_snapshots": [start.snapshot, *start.earlier],
    }  # fmt: skip
    with whole_directory(workspace.data(name)) as draft:
        shutil.copytree(source, draft / TRANSFORMER, copy_function=shutil.copyfile)
        ProductRecord(record).write(draft)
    return {key: record[key] for key in ("continued_from", "weights_digest", "snapshot_digest", "steps")}


def continued_section(section: dict[str, Any], start: ChampionStart) -> dict[str, Any]:
    """Change stage 3's section of the profile to the steps and rates of a continuation."""
    optimizer = section["optimizer"]
    rates = {name: optimizer[name] * start.rate_factor for name in ("lr", "adam_lr")}
    return {**section, "steps": start.steps, "optimizer": {**optimizer, **rates}}
