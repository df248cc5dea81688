"""Fill the demo's inbox: puppets or rendered people on all cores, and files that cannot be used."""

import os
from pathlib import Path

import pandas as pd

from assets.core.workspace import Workspace
from assets.kinds.demo_corpus import RenderedFile, corpus, unusable_files
from curation.workers import map_over_clips
from media import write_atomically
from profiles.schema import DemoConfig
from tracking.progress import ProgressFile


def missing_clips(workspace: Workspace, demo: DemoConfig) -> list[RenderedFile]:
    """Clips whose file is neither in the inbox nor in a shard (which `dvc pull` may have brought without an inbox).

    Raises:
        assets.kinds.demo_corpus.DemoCorpusError: they cannot be rendered.
    """
    tables = [workspace.data("raw_clips", shard) / "clips.parquet" for shard in workspace.shards("raw_clips")]
    held = {
        name
        for table in tables
        if table.is_file()
        for name in pd.read_parquet(table, columns=["source_name"])["source_name"]
    }
    wanted = corpus(demo, workspace.profile.video)
    return [clip for clip in wanted if clip.name not in held and not (workspace.inbox / clip.name).is_file()]


def fill_inbox(workspace: Workspace, demo: DemoConfig, progress: Path) -> None:
    """Render what is missing. Killed and started again, it goes on where it was."""
    report = ProgressFile(progress)
    wanted = missing_clips(workspace, demo)
    workspace.inbox.mkdir(parents=True, exist_ok=True)
    cores = os.cpu_count() or 1
    for _ in map_over_clips(_render, workspace.inbox, wanted, report, f"rendering {demo.world}", cores):
        pass
    for name, data in unusable_files(demo).items():
        if not (workspace.inbox / name).is_file():
            write_atomically(workspace.inbox / name, data)


def _render(inbox: Path, clip: RenderedFile) -> None:
    clip.write(inbox)
