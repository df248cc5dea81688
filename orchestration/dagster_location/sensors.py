"""New clips in the inbox become a shard: partition, observation and run request in one tick."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from assets.core.shard_plans import bring_remote_clips, plan_new_shards
from assets.core.workspace import Workspace, open_workspace
from assets.dagster.asset_factory import SHARDS
from curation.intake.unsettled_files import Look, unsettled
from media.access import keep_private
from orchestration.dagster_location.ingest_requests import ingest_requests
from orchestration.dagster_location.jobs import ingest_job


@dg.sensor(
    job=ingest_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Plans the inbox's new files into immutable shards and ingests each; scores, subsets and features follow. Files "
    "that are still being written wait, known and withdrawn content is passed over, a shard whose run failed is asked for again.",
)
def inbox_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One run request per planned shard. The plan is kept on disk, so a tick that dies repeats nothing; the cursor holds the
    files that are still being written."""
    keep_private()
    workspace, now = open_workspace(), time.time()
    bring_remote_clips(workspace)
    waiting = look_at_inbox(workspace, _from_cursor(workspace, context.cursor), now)
    context.update_cursor(_to_cursor(workspace, waiting))
    planned = plan_new_shards(workspace, leave=waiting)
    asked = ingest_requests(context.instance, ingest_job.name, planned, now)
    notes = [*asked.notes, *([f"{len(waiting)} files are still being written"] if waiting else [])]
    if not asked.runs:
        return dg.SkipReason("; ".join(notes) or f"no new files in {workspace.inbox}")
    known = set(context.instance.get_dynamic_partitions("shard"))
    shards = [str(request.partition_key) for request in asked.runs]
    new = [shard for shard in shards if shard not in known]
    # A source that was never observed blocks its readers for ever, so the tick that adds partitions observes it.
    observed: dict[str, Any] = {"shards": shards, "still_being_written": len(waiting), "notes": notes}
    return dg.SensorResult(
        dynamic_partitions_requests=[SHARDS.build_add_request(new)] if new else [],
        run_requests=asked.runs,
        asset_events=[dg.AssetObservation("inbox", metadata=observed)],
    )


def look_at_inbox(workspace: Workspace, earlier: Mapping[Path, Look], now: float) -> dict[Path, Look]:
    """The inbox's files that are still being written."""
    from curation.intake.inbox import candidate_files

    return unsettled(candidate_files(workspace.inbox), earlier, now) if workspace.inbox.is_dir() else {}


def _to_cursor(workspace: Workspace, waiting: Mapping[Path, Look]) -> str:
    return json.dumps({path.relative_to(workspace.inbox).as_posix(): look for path, look in waiting.items()})


def _from_cursor(workspace: Workspace, cursor: str | None) -> dict[Path, Look]:
    return {workspace.inbox / name: Look(*look) for name, look in json.loads(cursor or "{}").items()}
