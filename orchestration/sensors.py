"""New clips in the inbox become a shard: partition, observation and run request in one tick."""

import dagster as dg

from assets.dagster_assets import SHARDS
from assets.shard_plans import bring_remote_clips, plan_new_shards
from assets.workspace import open_workspace
from orchestration.jobs import ingest_job


@dg.sensor(
    job=ingest_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Plans the inbox's new files into immutable shards and ingests each; scores, subsets and features follow.",
)
def inbox_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One run request per planned shard. The plan is kept on disk, so a tick that dies repeats nothing."""
    workspace = open_workspace()
    bring_remote_clips(workspace)
    known = set(context.instance.get_dynamic_partitions("shard"))
    planned = plan_new_shards(workspace)
    if not planned:
        return dg.SkipReason(f"no new files in {workspace.inbox}")
    new = [shard for shard in planned if shard not in known]
    # A source that was never observed blocks its readers for ever, so the tick that adds partitions observes it.
    return dg.SensorResult(
        dynamic_partitions_requests=[SHARDS.build_add_request(new)] if new else [],
        run_requests=[dg.RunRequest(run_key=shard, partition_key=shard) for shard in planned],
        asset_events=[dg.AssetObservation("inbox", metadata={"shards": planned})],
    )
