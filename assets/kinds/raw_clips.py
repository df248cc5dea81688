"""Shards of raw clips out of the inbox, with what could not be used listed beside."""

import json
import logging
from pathlib import Path

from assets.core.shard_plans import planned_files
from assets.core.steps import AssetError, Execution, Metadata, Png, Table
from assets.core.workspace import Workspace
from assets.kinds.column_lineage import clip_columns
from assets.kinds.detectors import face_hider
from curation.intake.held_out import held_out
from curation.intake.ingest import ingest_shard, is_shard
from curation.intake.near_duplicates import near_duplicate_groups
from curation.pages.clip_pictures import clips_sheet, evenly_spread
from curation.pages.ingest_page import write_ingest_page
from curation.tables.storage import read_table

QUARANTINE_SHOWN = 100
GROUPS_SHOWN = 20

_log = logging.getLogger(__name__)


def files_to_look_at(workspace: Workspace, shard: str) -> list[Path]:
    """The files of a planned shard. Of one that an older version ingested and whose files have left the inbox since there are none:
    it stays as it was read then, without the columns that came later.

    Raises:
        AssetError: nobody planned it.
    """
    files = planned_files(workspace, shard)
    if (workspace.data("raw_clips", shard) / "shard.json").is_file() and not all(path.exists() for path in files):
        _log.warning("files of shard %s have left %s: it stays as an older version read it", shard, workspace.inbox)
        return []
    return files


def make_raw_clips(execution: Execution) -> Metadata:
    """Ingest the planned files of one shard."""
    workspace, shard = execution.workspace, execution.shard
    assert shard is not None
    root = workspace.data("raw_clips")
    if not is_shard(root / shard) and (files := files_to_look_at(workspace, shard)):
        index = workspace.var / "near_duplicates.index"
        benchmarks = held_out(workspace.data("test_sets"), workspace.data("benchmark_sets"))
        report = ingest_shard(files, root, workspace.profile, execution.report, workspace.inbox, index, benchmarks)
        if report.name != shard:
            raise AssetError(
                f"files of shard {shard} changed in {workspace.inbox} since they were planned (now {report.name}); "
                "run it again: the inbox is planned anew"
            )
    summary = json.loads((root / shard / "shard.json").read_text())
    quarantine = read_table(root / shard / "quarantine.parquet")
    clips = read_table(root / shard / "clips.parquet")
    hide = face_hider(workspace.profile)
    groups, sheet = near_duplicate_groups([clips]), clips_sheet(root / shard, evenly_spread(clips), hide=hide)
    return {
        "clips": summary["clips"],
        "files": summary["files"],
        "near_duplicates": summary["near_duplicates"],
        "near_duplicate_groups": Table([{"clips": len(g), "ids": ", ".join(g)} for g in groups[:GROUPS_SHOWN]]),
        "quarantined": sum(summary["quarantined"].values()),
        "seconds_of_video": summary["seconds_of_video"],
        "bytes": summary["bytes"],
        **({} if sheet is None else {"contact_sheet": Png(sheet)}),
        "report": write_ingest_page(workspace.report_page("raw_clips", shard), root / shard, hide),
        "columns": clip_columns(),
        "quarantine": Table(quarantine[["source_name", "reason", "message"]].head(QUARANTINE_SHOWN).to_dict("records")),
    }
