"""The studies as one Dagster asset with a partition each. No job of the flow holds it: a study is started by hand."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.core.names import STUDY
from assets.core.steps import Markdown, Png
from assets.core.workspace import open_workspace
from assets.dagster.asset_factory import OWNERS, TRAINING_POOL, dagster_metadata
from assets.launchers.resource import TrainingLauncher
from assets.make.page_pictures import keep_pictures
from evaluation.questions.studies import STUDIES
from media.access import keep_private

if TYPE_CHECKING:
    from training.run.launch import Process

STUDY_PARTITIONS = dg.StaticPartitionsDefinition(list(STUDIES))


class StudyConfig(dg.Config):
    """How many seeds, counted from the profile's own."""

    seeds: int = 2


@dg.asset(
    name=STUDY,
    description="Ablations: the recipe with one thing changed at a time, several seeds, trained on the parents that stand and scored "
    "with intervals. Hours; killed and started again, it goes on. `omnihuman ablate --study NAME` does the same.",
    deps=["training_snapshot", "stage_3_checkpoint", "consistency_student", "benchmark_sets", "generated_videos"],
    group_name="evaluation",
    kinds={"pytorch", "deepspeed", "mlflow"},
    owners=OWNERS,
    partitions_def=STUDY_PARTITIONS,
    pool=TRAINING_POOL,
)
def ablation_study(
    context: dg.AssetExecutionContext, config: StudyConfig, launcher: TrainingLauncher
) -> dg.MaterializeResult:
    """One study, with the CLI's command as what is kept beside its table."""
    from assets.questions.ablation_study import run_study  # training and plots, which the code location does not need

    keep_private()
    study, workspace = context.partition_key, open_workspace()
    command = f"omnihuman ablate --study {study} --seeds {config.seeds}"

    def launch(process: "Process") -> None:
        launcher.run(context, process, workspace)

    folder = run_study(workspace, study, config.seeds, [], command, launch)
    shown: dict[str, Any] = {
        "table": Markdown((folder / "ablation.md").read_text()),
        "scores": Png((folder / "scores.png").read_bytes()),
        "contact_sheet": Png((folder / "contact_sheet.png").read_bytes()),
        "folder": folder,
    }
    return dg.MaterializeResult(metadata=dagster_metadata(keep_pictures(workspace, STUDY, study, shown)))
