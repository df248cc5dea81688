"""Nightly training, which skips when there is nothing new to learn from."""

import json

import dagster as dg

from assets.workspace import Workspace, open_workspace
from orchestration.jobs import train_job


@dg.schedule(
    job=train_job,
    cron_schedule="0 2 * * *",
    description="Trains, distils, scores and promotes when shards were added, changed or withdrawn since the last snapshot.",
)
def nightly_training(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Compare today's finished shards with those of the last snapshot."""
    new = changed_shards(open_workspace())
    if not new:
        return dg.SkipReason("every finished shard is in the last training snapshot as it is")
    return dg.RunRequest(tags={"changed_shards": str(len(new))})


def changed_shards(workspace: Workspace) -> list[str]:
    """Shards with features whose hash is not the one that the last snapshot names, and shards that are gone."""
    from curation.storage import read_table_metadata

    path = workspace.data("training_snapshot") / "snapshot.json"
    listed = {}
    if path.is_file():
        listed = {entry["name"]: entry["features_sha256"] for entry in json.loads(path.read_text())["shards"]}
    folder = workspace.data("condition_features")
    found = {
        shard: read_table_metadata(folder / shard / "samples.parquet")["features_sha256"]
        for shard in workspace.shards("condition_features")
    }
    return sorted(name for name in listed.keys() | found.keys() if listed.get(name) != found.get(name))
