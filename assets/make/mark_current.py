"""Data that DVC brought is taken for made: where DVC finds inputs, settings and products as its lock says, so does the pipeline."""

import json
from contextlib import chdir

from assets.core.catalogue import FLOW, STEPS
from assets.core.dvc_repository import open_repository
from assets.core.dvc_stages import write_params
from assets.core.steps import Step
from assets.core.versions import fingerprint, fresh_version, signature
from assets.core.workspace import Workspace
from assets.make.execute import is_current
from media import write_atomically


def adopt(workspace: Workspace) -> dict[tuple[str, str | None], str]:
    """Write the record of every asset (and shard) that DVC finds unchanged; returns their content versions.

    What differs from its lock, because settings, code version or data are others than then, gets no record and is made anew.

    Raises:
        DvcException: dvc.yaml or dvc.lock cannot be read.
    """
    write_params(workspace)
    with chdir(workspace.root), open_repository(workspace.root, wait=True) as repo:
        changed = set(repo.status())
    adopted: dict[tuple[str, str | None], str] = {}
    for step in (step for step in FLOW if step.name not in changed):
        for shard in workspace.shards(step.name) if step.sharded else [None]:
            if (workspace.data(step.name, shard) / step.marker).is_file():
                adopted[step.name, shard] = _record(workspace, step, shard)
    return adopted


def _record(workspace: Workspace, step: Step, shard: str | None) -> str:
    version = fresh_version(workspace, step, shard)
    if not is_current(workspace, step, shard):
        record = {
            "fingerprint": fingerprint(workspace, step, shard, STEPS),
            "data_version": version,
            "signature": signature(workspace.data(step.name, shard)),
            "seconds": 0.0,
        }
        write_atomically(workspace.record(step.name, shard), json.dumps(record, indent=1).encode())
    return version
