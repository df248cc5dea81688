"""Clips that somebody withdrew, by the workspace's tombstones."""

from assets.core.workspace import Workspace
from curation.snapshot.withdrawals import read_tombstones, withdrawn
from curation.tables.storage import read_table


def withdrawn_clips(workspace: Workspace) -> set[str]:
    """Collect the ids of all clips that tombstones name or that are of a withdrawn source."""
    tombstones = read_tombstones(workspace.tombstones)
    if not tombstones:
        return set()
    tables = [
        read_table(workspace.data("raw_clips", shard) / "clips.parquet") for shard in workspace.shards("raw_clips")
    ]
    listed = {clip_id for clips in tables for clip_id in clips.loc[withdrawn(clips, tombstones), "clip_id"]}
    return listed | {clip_id for tombstone in tombstones for clip_id in tombstone.clip_ids}
