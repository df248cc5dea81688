"""Which files of the inbox become which shard: planned once, kept in a file, so that later arrivals change nothing."""

import json
import os
from collections.abc import Collection
from pathlib import Path

from assets.core.steps import AssetError
from assets.core.workspace import INBOX_VARIABLE, Workspace
from curation.intake.inbox import fingerprint
from curation.intake.ingest import find_new_clips, plan_shards, shard_name
from curation.intake.remote_inbox import fetch_remote, local_name
from curation.snapshot.withdrawals import is_withdrawn_content, read_tombstones
from media import write_atomically


def plan_new_shards(workspace: Workspace, leave: Collection[Path] = ()) -> list[str]:
    """Plan shards for the inbox's new files; returns the names of all shards that are planned and not yet made.

    Files of a plan that still waits are not planned twice. A plan whose file has gone, moved or changed is dropped, and its
    files are planned anew; a shard is named by content, so one whose file was only renamed keeps its name. Content that
    was withdrawn is not planned, under whatever name it comes back.

    Args:
        workspace: whose inbox is looked at.
        leave: files to pass over this time, because they are still being written.
    """
    waiting, taken = [], set()
    for plan in sorted(_folder(workspace).glob("s-*.json")):
        if workspace.data("raw_clips", plan.stem).is_dir():
            continue
        files = _read(workspace, plan)
        if all(path.is_file() or path.is_symlink() for path in files) and shard_name(files) == plan.stem:
            waiting.append(plan.stem)
            taken.update(files)
        else:
            plan.unlink()
    new = find_new_clips(workspace.inbox, workspace.data("raw_clips"), leave={*taken, *leave})
    tombstones = read_tombstones(workspace.tombstones)
    wanted = [path for path in new if not tombstones or not is_withdrawn_content(fingerprint(path), tombstones)]
    for shard in plan_shards(wanted, workspace.profile.curation.shard_clips):
        relative = [path.relative_to(workspace.inbox).as_posix() for path in shard.files]
        # surrogateescape keeps names that are not UTF-8 through JSON.
        data = json.dumps({"files": relative}, indent=1).encode("utf-8", "surrogateescape")
        write_atomically(_folder(workspace) / f"{shard.name}.json", data)
        waiting.append(shard.name)
    return waiting


def bring_remote_clips(workspace: Workspace) -> int:
    """With `$OMNIHUMAN_INBOX`, an fsspec URL: new objects come into the local inbox; returns how many."""
    url = os.environ.get(INBOX_VARIABLE, "")
    if not url:
        return 0
    return len(fetch_remote(url, workspace.inbox / local_name(url)).paths)


def planned_files(workspace: Workspace, shard: str) -> list[Path]:
    """The files of one planned shard.

    Raises:
        AssetError: nobody planned it.
    """
    plan = _folder(workspace) / f"{shard}.json"
    if not plan.is_file():
        raise AssetError(f"no plan {plan} for shard {shard}; `python -m assets raw_clips` plans and ingests the inbox")
    return _read(workspace, plan)


def _folder(workspace: Workspace) -> Path:
    return workspace.var / "shard_plans"


def _read(workspace: Workspace, plan: Path) -> list[Path]:
    return [workspace.inbox / name for name in json.loads(plan.read_text())["files"]]
