"""`omnihuman withdraw`: onto the list, and what saw the clip."""

import pandas as pd

from assets.core.workspace import Workspace
from assets.past.who_saw import Exposure, who_saw
from curation.intake.near_duplicates import near_duplicate_groups
from curation.snapshot.withdrawals import Tombstone, find_clips, held_by_sets, withdraw
from curation.tables.storage import CurationError, read_table


def all_clips(workspace: Workspace) -> pd.DataFrame:
    """Every shard's clips.parquet, one after another.

    Raises:
        CurationError: no shard.
    """
    shards = workspace.shards("raw_clips")
    if not shards:
        raise CurationError(f"no clips in {workspace.data('raw_clips')}; ingest some first")
    return pd.concat([read_table(workspace.data("raw_clips", shard) / "clips.parquet") for shard in shards])


def withdraw_clips(workspace: Workspace, target: str, reason: str) -> tuple[Tombstone, list[str], list[Exposure]]:
    """Withdraw, and report near duplicates that are not withdrawn with it, and everything that saw the clips."""
    clips = all_clips(workspace)
    tombstone = withdraw(workspace.tombstones, clips, target, reason)
    rows = clips[clips["clip_id"].isin(tombstone.clip_ids)]
    return tombstone, _alike(clips, set(tombstone.clip_ids)), _exposures(workspace, rows)


def exposure_of(workspace: Workspace, target: str) -> list[Exposure]:
    """What saw the clips that `target` means; nothing is written."""
    _, rows = find_clips(all_clips(workspace), target)
    return _exposures(workspace, rows)


def _exposures(workspace: Workspace, clips: pd.DataFrame) -> list[Exposure]:
    """What learned from the clips, or was measured on what did, and the frozen sets that hold them."""
    folders = [folder for name in ("test_sets", "benchmark_sets") for folder in workspace.data(name).glob("*")]
    held = [
        Exposure(
            "frozen set",
            folder.name,
            f"{samples} of {every} samples, in {folder}; delete the folder, and build it again without them",
        )
        for folder, (samples, every) in held_by_sets(clips, folders).items()
    ]
    return [*who_saw(workspace, set(clips["clip_id"])), *held]


def _alike(clips: pd.DataFrame, ids: set[str]) -> list[str]:
    groups = [set(group) for group in near_duplicate_groups([clips])]
    return sorted({other for group in groups if group & ids for other in group - ids})
