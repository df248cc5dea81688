"""Shards of raw clips out of the inbox, with what could not be used listed beside."""

import json

from assets.shard_plans import planned_files
from assets.steps import AssetError, Execution, Metadata, Step, Table
from assets.versions import folder_version

QUARANTINE_SHOWN = 100


def make_raw_clips(execution: Execution) -> Metadata:
    """Ingest the planned files of one shard."""
    from curation.ingest import ingest_shard
    from curation.storage import read_table

    workspace, shard = execution.workspace, execution.shard
    assert shard is not None
    root = workspace.data("raw_clips")
    if not (root / shard / "shard.json").is_file():
        files = planned_files(workspace, shard)
        report = ingest_shard(files, root, workspace.profile, execution.report, workspace.inbox)
        if report.name != shard:
            raise AssetError(
                f"files of shard {shard} changed in {workspace.inbox} since they were planned (now {report.name}); "
                "run it again: the inbox is planned anew"
            )
    summary = json.loads((root / shard / "shard.json").read_text())
    quarantine = read_table(root / shard / "quarantine.parquet")
    return {
        "clips": summary["clips"],
        "quarantined": sum(summary["quarantined"].values()),
        "seconds_of_video": summary["seconds_of_video"],
        "bytes": summary["bytes"],
        "quarantine": Table(quarantine[["source_name", "reason", "message"]].head(QUARANTINE_SHOWN).to_dict("records")),
    }


RAW_CLIPS = Step(
    name="raw_clips",
    description="Dropped clips as immutable, content-addressed shards: media in one tar, a row per clip, and a "
    "quarantine table with the reason for every file that could not be used.",
    make=make_raw_clips,
    upstream=(),
    sections=("video.fps", "video.frames", "video.buckets", "curation.min_seconds"),
    group="curation",
    kinds=frozenset({"python", "parquet", "dvc"}),
    marker="shard.json",
    sharded=True,
    data_version=folder_version,
)
