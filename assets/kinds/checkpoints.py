"""Every set of weights that training makes: three stages, the consistency student, two adversarial phases."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from assets.core.steps import AssetError, Execution, Metadata, Png, Step
from assets.core.workspace import START, Workspace
from assets.retraining.training_start import continued_section, read_start, take_over

if TYPE_CHECKING:
    from training.run.jobs import TrainingJob

# Engine settings that change the numbers; how often state is saved does not.
ENGINE = tuple(
    f"engine.{key}"
    for key in ("zero_stage", "precision", "gradient_accumulation", "gradient_clipping", "activation_checkpointing")
)

CONTINUED = "stage_3"  # what a training that goes on from the champion trains


@dataclass(frozen=True)
class Recipe:
    """What a training run starts from. `section` of the profile configures it."""

    kind: Literal["stage", "consistency", "adversarial", "decoder"]
    section: str
    parent: str | None = None
    diffusion_parent: str | None = None


RECIPES = {
    "stage_1_checkpoint": Recipe("stage", "stage_1"),
    "stage_2_checkpoint": Recipe("stage", "stage_2", "stage_1_checkpoint"),
    "stage_3_checkpoint": Recipe("stage", "stage_3", "stage_2_checkpoint"),
    "consistency_student": Recipe("consistency", "consistency", "stage_3_checkpoint"),
    "adversarial_image_student": Recipe(
        "adversarial", "adversarial_images", "consistency_student", "stage_3_checkpoint"
    ),
    "distilled_student": Recipe("adversarial", "adversarial_videos", "adversarial_image_student", "stage_3_checkpoint"),
    "slim_decoder": Recipe("decoder", "slim_decoder"),
}


def training_job(
    workspace: Workspace, name: str, folder_of: Callable[[str], Path], output: Path, work: Path
) -> "TrainingJob":
    """The job that trains `name` by its recipe and the workspace's profile.

    Args:
        workspace: its snapshot and features are trained on.
        name: a key of `RECIPES`.
        folder_of: where a parent's weights lie, by its name.
        output: folder of the finished weights.
        work: folder of checkpoints while it runs.
    """
    from training.run.jobs import TrainingJob

    recipe = RECIPES[name]
    return TrainingJob(
        kind=recipe.kind,
        name=name,
        profile_values=workspace.profile.model_dump(mode="json"),
        section=recipe.section,
        snapshot=str(workspace.data("training_snapshot")),
        features_root=str(workspace.data("condition_features")),
        parent=recipe.parent and str(folder_of(recipe.parent)),
        diffusion_parent=recipe.diffusion_parent and str(folder_of(recipe.diffusion_parent)),
        output=str(output),
        work=str(work),
        tracking_uri=workspace.tracking_uri,
        progress=str(workspace.progress(name)),
    )


def train(name: str) -> Callable[[Execution], Metadata]:
    """The function that trains `name` in a process of its own, going on where an interrupted attempt stopped."""
    recipe = RECIPES[name]

    def make(execution: Execution) -> Metadata:
        from training.run.finished import is_finished
        from training.run.launch import training_process

        workspace = execution.workspace
        start = read_start(workspace) if recipe.kind == "stage" else None
        if start is not None and recipe.section != CONTINUED:
            return take_over(execution, start, recipe.parent)
        work = workspace.scratch(name) / execution.fingerprint[:16]
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

    return make


def describe(folder: Path) -> Metadata:
    """What a checkpoint's page shows: its record and its curves."""
    from training.run.curves import last_losses, loss_curves

    record = json.loads((folder / "record.json").read_text())
    shown = {k: v for k, v in record.items() if isinstance(v, (int, float, str, bool))}
    losses = folder / "losses.parquet"
    return {**shown, **last_losses(losses), "section": record["section"], "curves": Png(loss_curves(losses))}


def weights_version(folder: Path) -> str:
    """Digest of the weights: two runs that end in the same weights are the same version."""
    return json.loads((folder / "record.json").read_text())["weights_digest"]


def _forget_other_attempts(work: Path) -> None:
    """State of an attempt on other data or settings can never be gone on with."""
    for stale in work.parent.glob("*"):
        if stale != work:
            shutil.rmtree(stale)


def _step(name: str, description: str) -> Step:
    recipe = RECIPES[name]
    parents = tuple(p for p in dict.fromkeys((recipe.parent, recipe.diffusion_parent)) if p)
    return Step(
        name=name,
        description=description,
        make=train(name),
        upstream=("training_snapshot", *parents),
        sections=("transformer", "video", "curation.held_out_share", *ENGINE, recipe.section),
        version="2",  # held-out clips, motion frames, the same conditions on every rank
        group="training" if recipe.kind == "stage" else "distillation",
        kinds=frozenset({"pytorch", "deepspeed", "mlflow", "dvc"}),
        marker="record.json",
        data_version=weights_version,
        accelerated=True,
        files=(START,) if recipe.kind == "stage" else (),
    )


STAGE_1_CHECKPOINT = _step(
    "stage_1_checkpoint",
    "Stage 1 of omni-conditions training (OmniHuman-1 section 3.3): text and reference, on every usable clip.",
)
STAGE_2_CHECKPOINT = _step(
    "stage_2_checkpoint",
    "Stage 2: audio joins, at half the samples that have it; the weaker conditions go on with all their data.",
)
STAGE_3_CHECKPOINT = _step(
    "stage_3_checkpoint",
    "Stage 3: pose joins at half of audio's ratio, because the stronger condition learns faster. This is the teacher.",
)
CONSISTENCY_STUDENT = _step(
    "consistency_student",
    "Discrete consistency distillation of the teacher: one step, still blurred (APT section 4.2).",
)
ADVERSARIAL_IMAGE_STUDENT = _step(
    "adversarial_image_student",
    "Adversarial post-training against real single frames, R1 approximated; the discriminator starts from the teacher.",
)
DISTILLED_STUDENT = _step(
    "distilled_student",
    "Adversarial post-training against real videos (APT section 4): the one-step student that may become champion.",
)
