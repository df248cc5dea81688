"""Every set of weights that training makes: three stages, the consistency student, two adversarial phases."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assets.core.steps import AssetError, Execution, Fixed, Metadata, Png
from assets.core.training_recipes import RECIPES
from assets.core.training_start import read_start
from assets.core.workspace import Workspace
from assets.kinds.continuation import continued_section, take_over
from assets.kinds.features_left import features_left
from media.records import ProductRecord
from training.run.curves import last_losses, loss_curves
from training.run.finished import is_finished
from training.run.jobs import TrainingJob
from training.run.launch import training_process

# Of a record: settings, and what follows from them alone.
SETTINGS = ("parameters", "steps", "seed", "epoch", "samples_consumed")
CONTINUED = "stage_3"  # what a training that goes on from the champion trains


def training_job(
    workspace: Workspace, name: str, folder_of: Callable[[str], Path], output: Path, work: Path
) -> TrainingJob:
    """The job that trains `name` by its recipe and the workspace's profile.

    Args:
        workspace: its snapshot and features are trained on.
        name: a key of `RECIPES`.
        folder_of: where a parent's weights lie, by its name.
        output: folder of the finished weights.
        work: folder of checkpoints while it runs.
    """
    recipe = RECIPES[name]
    return TrainingJob(
        kind=recipe.kind,
        name=name,
        profile_values=workspace.profile.model_dump(mode="json"),
        section=recipe.section,
        snapshot=str(workspace.data("training_snapshot")),
        features_root=str(workspace.data("condition_features")),
        features_remote=features_left(workspace),
        parent=recipe.parent and str(folder_of(recipe.parent)),
        diffusion_parent=recipe.diffusion_parent and str(folder_of(recipe.diffusion_parent)),
        output=str(output),
        work=str(work),
        tracking_uri=workspace.tracking_uri,
        progress=str(workspace.progress(name)),
    )


def work_folder(workspace: Workspace, name: str, fingerprint: str) -> Path:
    """Where checkpoints of `name` lie while it is trained, of the inputs and settings with this `assets.core.versions.fingerprint`."""
    return workspace.scratch(name) / fingerprint[:16]


def make_checkpoint(execution: Execution) -> Metadata:
    """Train what `execution` names in a process of its own, going on where an interrupted attempt stopped."""
    name, workspace = execution.name, execution.workspace
    recipe = RECIPES[name]
    start = read_start(workspace) if recipe.kind == "stage" else None
    if start is not None and recipe.section != CONTINUED:
        return take_over(execution, start, recipe.parent)
    work = work_folder(workspace, name, execution.fingerprint)
    _forget_other_attempts(work)
    output = workspace.data(name)
    job = training_job(workspace, name, workspace.data, output, work)
    if start is not None:
        values = {**job.profile_values, CONTINUED: continued_section(job.profile_values[CONTINUED], start)}
        job = job.model_copy(update={"profile_values": values, "continued_from": str(start)})
    execution.launch(training_process(job.write(work / "job.json"), workspace.profile.engine))
    if not is_finished(work):
        raise AssetError(f"training of {name} ended without writing {output}; its log is in {workspace.logs}")
    return describe(output)


def describe(folder: Path) -> Metadata:
    """What a checkpoint's page shows: its record and its curves."""
    record = ProductRecord.read(folder)
    shown: dict[str, Any] = {k: v for k, v in record.values.items() if isinstance(v, (int, float, str, bool))}
    shown |= {name: Fixed(shown[name]) for name in SETTINGS if name in shown}
    losses = folder / "losses.parquet"
    return {**shown, **last_losses(losses), "section": record.require("section"), "curves": Png(loss_curves(losses))}


def _forget_other_attempts(work: Path) -> None:
    """State of an attempt on other data or settings can never be gone on with."""
    for stale in work.parent.glob("*"):
        if stale != work:
            shutil.rmtree(stale)
