"""The steps as Dagster assets: partitions, versions, pages with plots, and training through Dagster Pipes."""

import ast
import errno
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import dagster as dg

from assets.core.addresses import CODE_LINKS, COVERS, MLFLOW_PATH, REPORTS_PATH
from assets.core.catalogue import STEPS
from assets.core.dvc_stages import ensure_repository
from assets.core.names import CHAMPION, SCRATCH
from assets.core.steps import AssetError, Check, Columns, Fixed, Launcher, Markdown, Picture, Step, Table
from assets.core.workspace import REPORTS, Workspace, open_workspace
from assets.kinds.contract_checks import NAME as CHECK
from assets.kinds.contract_checks import contract_checks
from assets.launchers.resource import TrainingLauncher
from assets.make.execute import execute
from media.access import keep_private
from tracking.mlflow_store import run_page

if TYPE_CHECKING:
    from training.run.launch import Process

# Backfill policies and links into the code: once for each asset, in every process's log. constraints.txt holds Dagster's version.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

SHARDS = dg.DynamicPartitionsDefinition(name="shard")
OWNERS = ["team:omnihuman"]
TRAINING_POOL = "training"
RETRY_SECONDS = 30
# What network file systems and block devices report when they are away for a moment.
FLAKY = {
    errno.EIO,
    errno.ESTALE,
    errno.EREMOTEIO,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.ENETUNREACH,
}

# Where the chain of stages begins: a setting of its first asset, in the launchpad and of the two training jobs.
FIRST_STAGE = "stage_1_checkpoint"
START_SETTING = {
    "start": dg.Field(
        dg.Enum("TrainingStart", [dg.EnumValue(name) for name in ("unchanged", SCRATCH, CHAMPION)]), default_value="unchanged",
        description="unchanged: as start.json says. scratch: train all stages anew. champion: stages 1 and 2 take over the champion's "
        "teacher, stage 3 trains it on as the profile's `continuation` says.",
    )
}  # fmt: skip

# The first asset of the graph is where a newcomer looks.
START_HERE = """\
Folder that clips are dropped into, with optional caption sidecars (`clip.mp4.json`). The sensor observes it.

**Start here**
1. Drop clips into `inbox/`. Within a minute or two a shard of them appears in [raw_clips](/assets/raw_clips); scores, subsets and
   features follow by themselves.
2. Look at [filtered_subsets](/assets/filtered_subsets): which clips train what, and why the others do not.
3. Launch [train_and_promote](/locations/orchestration.definitions/jobs/train_and_promote): snapshot, three stages, distillation, benchmark,
   registration, gate. A training that is terminated writes a checkpoint; started again it goes on from there.
4. Look at [baseline_comparison](/assets/baseline_comparison) and [promoted_champion](/assets/promoted_champion).
5. Switch on [nightly_training](/locations/orchestration.definitions/schedules/nightly_training): it trains when there is something new.
"""
INBOX = dg.AssetSpec(
    "inbox",
    description=START_HERE,
    group_name="curation",
    kinds={"mp4"},
    owners=OWNERS,
)

# A schedule that has stopped asking is an outage that nothing else shows: a night in 26 hours, or the asset is overdue.
DECISION = dg.AssetSpec(
    "nightly_decision",
    description="What the schedule nightly_training decided last: train anew or not, and why. Each time it asks is a materialization.",
    group_name="training",
    kinds={"python"},
    owners=OWNERS,
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26)),
)


def dagster_asset(step: Step, condition: dg.AutomationCondition | None = None) -> dg.AssetsDefinition:
    """One asset that executes `step`, with a result that carries its content version."""

    @dg.asset(
        name=step.name,
        description=_description(step),
        deps=[INBOX.key] if step.name == "raw_clips" else list(step.upstream),
        group_name=step.group,
        kinds=set(step.kinds),
        owners=OWNERS,
        code_version=step.version,
        partitions_def=SHARDS if step.sharded else None,
        pool=TRAINING_POOL if step.accelerated else None,
        automation_condition=condition,
        config_schema=START_SETTING if step.name == FIRST_STAGE else None,
        backfill_policy=dg.BackfillPolicy.multi_run(1) if step.sharded else None,
        metadata={
            "folder": f"data/{step.name}",
            "profile_sections": ", ".join(step.sections) or "(none)",
            **_code_reference(step),
        },
        check_specs=[] if step.contract is None else [dg.AssetCheckSpec(CHECK, asset=step.name, blocking=True)],
    )
    def run(context: dg.AssetExecutionContext, launcher: TrainingLauncher) -> dg.MaterializeResult:
        keep_private()  # where a code server started this, no command of ours did before
        workspace = open_workspace()
        ensure_repository(workspace)
        if step.name == FIRST_STAGE and (chosen := context.op_execution_context.op_config["start"]) != "unchanged":
            from assets.retraining.choose_start import (
                choose_start,  # lineage and MLflow, which the code location does not need
            )

            choose_start(workspace, chosen)
        shard = context.partition_key if step.sharded else None
        told: dict[str, Any] = {}
        with again_after_flaky_io():
            launch = _through_pipes(context, launcher, told, step, workspace)
            outcome = execute(workspace, step, shard, launch, _TenthsToLog(context.log.info) if step.sharded else None)
        shown = {**dagster_metadata(outcome.metadata), "seconds": round(outcome.seconds, 2)}
        metadata = {**shown, **{name: value for name, value in told.items() if name not in shown}}
        checks = [_check_result(check) for check in contract_checks(workspace, step, shard)]
        version = dg.DataVersion(outcome.data_version)
        return dg.MaterializeResult(metadata=metadata, data_version=version, check_results=checks)

    return run


@contextmanager
def again_after_flaky_io() -> Iterator[None]:
    """A disk or a server that did not answer is asked twice more; any other error would come again.

    Raises:
        RetryRequested: Dagster waits and executes the step once more.
    """
    try:
        yield
    except OSError as error:
        if not isinstance(error, (ConnectionError, TimeoutError)) and error.errno not in FLAKY:
            raise
        raise dg.RetryRequested(max_retries=2, seconds_to_wait=RETRY_SECONDS) from error


def _description(step: Step) -> str:
    """What it is, and below it the newest picture of it: Dagster's pages show a description without a click."""
    if not step.cover:
        return step.description
    of = " of the last shard" if step.sharded else ""
    picture = f"![{step.cover.replace('_', ' ')}{of}; it is shown here once it is made]({REPORTS_PATH}/{COVERS}/{step.name}.png)"
    return f"{step.description} [Reports]({REPORTS_PATH}/?asset={step.name})\n\n{picture}"


def _code_reference(step: Step) -> dict[str, dg.CodeReferencesMetadataValue]:
    """Under Dagster's own name, which its pages show as a link into the code; read off the source, for importing it is heavy."""
    if os.environ.get(CODE_LINKS) == "none":
        return {}
    module, _, function = step.make.partition(":")
    spec = find_spec(module)
    assert spec is not None and spec.origin is not None
    source = ast.parse(Path(spec.origin).read_bytes())
    line = next(node.lineno for node in source.body if isinstance(node, ast.FunctionDef) and node.name == function)
    reference = dg.LocalFileCodeReference(file_path=spec.origin, line_number=line)
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def begin_from(start: str) -> dict[str, Any]:
    """The run configuration of a training job that begins from `scratch` or `champion`."""
    return {"ops": {FIRST_STAGE: {"config": {"start": start}}}}


def _check_result(check: Check) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=check.passed, check_name=check.name, description=check.message)


def all_assets(conditions: Mapping[str, dg.AutomationCondition]) -> list[dg.AssetsDefinition]:
    """Every step as an asset; `conditions` by asset name."""
    return [dagster_asset(step, conditions.get(step.name)) for step in STEPS.values()]


def _through_pipes(
    context: dg.AssetExecutionContext,
    launcher: TrainingLauncher,
    told: dict[str, Any],
    step: Step,
    workspace: Workspace,
) -> Launcher:
    """Start the process under Dagster Pipes; what the child reports about itself goes into `told`."""

    def launch(process: "Process") -> None:
        reported = launcher.run(context, process, workspace)
        if not step.in_dvc:
            return
        # A child that died before it opened Pipes must not look like success.
        if len(reported) != 1:
            raise AssetError(f"training of {step.name} reported {len(reported)} materialisations, not one; see its log")
        told.update(reported[0].metadata or {})

    return launch


class _TenthsToLog:
    """Progress of a shard as lines of the run's log: one for each tenth."""

    def __init__(self, log: Callable[[str], None]):
        self._log, self._tenth = log, 0

    def __call__(self, done: int, total: int, note: str = "") -> None:
        tenth = 10 * done // total if total else 0
        if tenth > self._tenth:
            self._log(f"{note}: {done} of {total}")
        self._tenth = tenth


def dagster_metadata(values: Mapping[str, Any]) -> dict[str, dg.MetadataValue | Any]:
    """Neutral values to what the Dagster UI shows: pictures first, then links, numbers, and the rest."""
    shown: dict[str, Any] = {}
    for name, value in sorted(values.items(), key=lambda pair: _place(pair[1])):
        shown |= _column_metadata(value) if isinstance(value, Columns) else {name: _metadata_value(name, value)}
        if name == "mlflow_run_id":
            shown["mlflow_run"] = dg.MetadataValue.md(f"[{value}]({run_page(MLFLOW_PATH, value)})")
    return shown


def _place(value: Any) -> int:
    if isinstance(value, Picture):
        return 0
    if isinstance(value, Path):
        return 1
    return 2 if isinstance(value, (int, float)) and not isinstance(value, bool) else 3


def _column_metadata(columns: Columns) -> dict[str, Any]:
    """Under Dagster's own names, which its pages draw as the table's schema and as lineage from column to column."""
    deps = {
        name: [dg.TableColumnDep(dg.AssetKey(a), c) for a, c in sources] for name, sources in columns.sources.items()
    }
    schema = dg.TableSchema(
        [dg.TableColumn(name, kind, columns.meanings.get(name)) for name, kind in columns.kinds.items()]
    )
    return {"dagster/column_schema": schema, "dagster/column_lineage": dg.TableColumnLineage(deps)}


def _metadata_value(name: str, value: Any) -> Any:
    if isinstance(value, Picture):
        shown = f"![{name.replace('_', ' ')}]({_below_reports(value.small)})"
        return dg.MetadataValue.md(f"[{shown}]({_below_reports(value.path)})")
    if isinstance(value, Fixed):
        return dg.MetadataValue.text(str(value.value))
    if isinstance(value, Markdown):
        return dg.MetadataValue.md(value.text)
    if isinstance(value, Table):
        if not value.rows:
            return dg.MetadataValue.text("(none)")
        return dg.MetadataValue.table([dg.TableRecord(row) for row in value.rows])
    if isinstance(value, Path):
        if value.suffix == ".html" and REPORTS in value.parts[:-1]:
            return dg.MetadataValue.md(f"[{value.parent.name}/{value.stem}]({_below_reports(value)})")
        # Dagster offers a path as if it were one of the looker's own machine.
        return dg.MetadataValue.text(str(value))
    if isinstance(value, (dict, list)):
        return dg.MetadataValue.json(value)
    return value


def _below_reports(path: Path) -> str:
    """The address of a file below a workspace's reports, on whichever server shows Dagster's pages."""
    return f"{REPORTS_PATH}/{quote(path.as_posix().rpartition(f'/{REPORTS}/')[2])}"
