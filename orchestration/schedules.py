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
    workspace = open_workspace()
    new, gone = changed_shards(workspace), withdrawn_from_snapshot(workspace)
    if not new and not gone:
        return dg.SkipReason("every finished shard is in the last training snapshot as it is, and no clip of it is withdrawn")
    return dg.RunRequest(tags={"changed_shards": str(len(new)), "withdrawn_clips": str(gone)})


def withdrawn_from_snapshot(workspace: Workspace) -> int:
    """How many clips of the last snapshot have been withdrawn since."""
    from curation.storage import read_table
    from curation.withdrawal import read_tombstones, withdrawn

    tombstones = read_tombstones(workspace.tombstones)
    path = workspace.data("training_snapshot") / "samples.parquet"
    if not tombstones or not path.is_file():
        return 0
    listed = set(read_table(path)["clip_id"])
    tables = [read_table(workspace.data("raw_clips", shard) / "clips.parquet") for shard in workspace.shards("raw_clips")]
    return len({clip_id for clips in tables for clip_id in clips.loc[withdrawn(clips, tombstones), "clip_id"]} & listed)


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
