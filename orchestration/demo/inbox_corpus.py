"""Fill the demo's inbox: puppets on all cores, files that cannot be used, clips of real people."""

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pandas as pd

from assets.core.workspace import Workspace
from assets.kinds.demo_corpus import PuppetFile, corpus, render_puppet, unusable_files
from media import write_atomically
from profiles.schema import DemoConfig
from tracking.progress import ProgressFile


def missing_puppets(workspace: Workspace, demo: DemoConfig) -> list[PuppetFile]:
    """Puppets whose file is neither in the inbox nor in a shard (which `dvc pull` may have brought without an inbox)."""
    tables = [workspace.data("raw_clips", shard) / "clips.parquet" for shard in workspace.shards("raw_clips")]
    held = {
        name
        for table in tables
        if table.is_file()
        for name in pd.read_parquet(table, columns=["source_name"])["source_name"]
    }
    return [
        puppet for puppet in corpus(demo) if puppet.name not in held and not (workspace.inbox / puppet.name).is_file()
    ]


def fill_inbox(workspace: Workspace, demo: DemoConfig, progress: Path) -> None:
    """Render what is missing. Killed and started again, it goes on where it was."""
    report = ProgressFile(progress)
    wanted = missing_puppets(workspace, demo)
    workspace.inbox.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        work = pool.map(_render, wanted, [workspace.inbox] * len(wanted), chunksize=8)
        for done, _ in enumerate(work, start=1):
            report(done, len(wanted), "rendering puppets")
    for name, data in unusable_files(demo).items():
        if not (workspace.inbox / name).is_file():
            write_atomically(workspace.inbox / name, data)


def _render(puppet: PuppetFile, inbox: Path) -> None:
    render_puppet(puppet, inbox)
