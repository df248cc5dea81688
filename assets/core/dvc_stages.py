"""dvc.yaml and dvc.lock: Dagster and the command line write the data, DVC remembers its hash."""

import os
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import yaml

from assets.core.catalogue import FLOW
from assets.core.dvc_repository import open_repository
from assets.core.names import FROM_SCRATCH
from assets.core.steps import Step
from assets.core.versions import configuration, score_weights
from assets.core.whole_lock import mend_lock, whole_lock
from assets.core.workspace import Workspace
from media import write_atomically
from media.file_lock import file_lock
from profiles import Profile

PARAMS_HEADING = "# The resolved profile, as DVC compares it. Written by the pipeline: edit profiles/, not this.\n"
STAGES_HEADING = """\
# One stage per asset, the same nodes and edges as the Dagster graph (a test compares them); `python -m assets --sync`
# writes this file from assets/. Shards are written by Dagster or by the commands below, and committed here.
# The inbox is no dependency: it may hold files that cannot be read, and shards are named by their content.
"""
SHARDS_A_TIME = 20  # of so many one, at least, is made before all are recorded
# Outputs are replaced by rename and must stay ours to write: copies (reflinks where the disk can), never links into the
# cache, through which a later write would change what the cache holds.
SETTINGS: dict[str, dict[str, Any]] = {
    "core": {"analytics": False, "autostage": False, "check_update": False},
    "cache": {"type": ["reflink", "copy"]},
}


def record_in_dvc(workspace: Workspace, step: Step) -> None:
    """`dvc commit` of the step's stage: its outputs into the cache, hashes of inputs and outputs into dvc.lock.

    One process at a time: dvc.lock is last-writer-wins for what happens outside DVC's own lock, and that lock gives up
    after seconds where a file lock simply waits. Started by `dvc repro`, DVC records the stage itself.
    """
    if os.environ.get("DVC_STAGE"):
        return
    with one_writer(workspace):
        write_params(workspace)
        # DVC resolves stage names and paths from the current directory.
        with whole_lock(workspace), chdir(workspace.root), open_repository(workspace.root, wait=True) as repo:
            # By its full path: a bare name is looked up in the current folder.
            taken = _take_waiting(workspace, step)
            repo.commit(f"{workspace.root / 'dvc.yaml'}:{step.name}", force=True)
        taken.unlink(missing_ok=True)


def record_shard(workspace: Workspace, step: Step) -> None:
    """One shard of `step` was made: into DVC at once, or with later ones.

    DVC hashes and lists all shards each time. With a twentieth of them at a time that is work in proportion to their number, not to
    its square; up to twenty shards each is recorded at once. Whatever waits is recorded before a snapshot is.
    """
    if os.environ.get("DVC_STAGE"):
        return
    waiting = _waiting(workspace, step)
    waiting.parent.mkdir(parents=True, exist_ok=True)
    with waiting.open("ab") as file:
        file.write(b".")
    if waiting.stat().st_size * SHARDS_A_TIME >= len(workspace.shards(step.name)):
        record_in_dvc(workspace, step)


def record_waiting(workspace: Workspace) -> None:
    """Record all sharded stages, in their order, if shards of any wait for it: a snapshot goes back to all of them."""
    sharded = [step for step in FLOW if step.sharded]
    if any(place.is_file() for step in sharded for place in (_waiting(workspace, step), _taken(workspace, step))):
        for step in sharded:
            if workspace.data(step.name).is_dir():
                record_in_dvc(workspace, step)


def _waiting(workspace: Workspace, step: Step) -> Path:
    """As many bytes as shards were made since the stage was recorded last."""
    return workspace.var / "unrecorded" / step.name


def _taken(workspace: Workspace, step: Step) -> Path:
    """What waited when a recording began; it is there until that recording has ended, so a killed one is made good."""
    return workspace.var / "unrecorded" / f"{step.name}.taken"


def _take_waiting(workspace: Workspace, step: Step) -> Path:
    # A shard that is finished while DVC reads the others counts anew.
    waiting, taken = _waiting(workspace, step), _taken(workspace, step)
    if waiting.is_file():
        waiting.replace(taken)
    return taken


def ensure_repository(workspace: Workspace) -> None:
    """Make `workspace.root` a DVC repository with this project's stages, if it is none yet, and bring params.yaml up."""
    workspace.root.mkdir(parents=True, exist_ok=True)
    workspace.inbox.mkdir(exist_ok=True)
    with one_writer(workspace):
        mend_lock(workspace)
        write_params(workspace)
        # A dependency must exist for DVC: nothing is withdrawn yet.
        workspace.tombstones.touch()
        if not workspace.start.is_file():
            write_atomically(workspace.start, FROM_SCRATCH.encode())
        if not (workspace.root / "dvc.yaml").is_file():
            write_atomically(workspace.root / "dvc.yaml", stages_text().encode())
        if not (workspace.root / ".dvc").is_dir():
            from dvc.repo import Repo

            with Repo.init(str(workspace.root), no_scm=True) as repo, repo.config.edit() as config:
                for section, values in SETTINGS.items():
                    config[section].update(values)


def stages_text() -> str:
    """dvc.yaml as it follows from the steps."""
    stages = {step.name: _stage(step) for step in FLOW}
    return STAGES_HEADING + yaml.safe_dump({"stages": stages}, sort_keys=False, width=120, allow_unicode=True)


def params_text(profile: Profile) -> str:
    """params.yaml for a profile: its values, the digests of the frozen weights and of the scores' weights, and the version of
    each step's code."""
    weights = configuration(profile, ("encoders",))["weights"]
    versions = {step.name: step.version for step in FLOW}
    own = {"weights": weights, "score_weights": score_weights(profile), "code_version": versions}
    values = {**profile.model_dump(mode="json"), **own}
    return PARAMS_HEADING + yaml.safe_dump(values, sort_keys=False, width=120, allow_unicode=True)


def write_params(workspace: Workspace) -> None:
    """Bring params.yaml up to the workspace's profile; an equal file is left alone."""
    path, text = workspace.root / "params.yaml", params_text(workspace.profile)
    if not path.is_file() or path.read_text() != text:
        write_atomically(path, text.encode())


def settings_of(step: Step) -> list[str]:
    """Keys of params.yaml that decide a step's result."""
    brought = {"encoders": "weights", "curation.scores": "score_weights"}
    return [
        *step.sections,
        *(key for section, key in brought.items() if section in step.sections),
        f"code_version.{step.name}",
    ]


def _stage(step: Step) -> dict[str, Any]:
    output = f"data/{step.name}"
    # Without persist DVC would delete all shards, frozen benchmarks, and videos that are done, before it runs the command.
    keep = step.sharded or step.name in ("benchmark_sets", "generated_videos")
    stage: dict[str, Any] = {"cmd": f"python -m assets {step.name}", "desc": step.description}
    if step.upstream or step.files:
        stage["deps"] = [*(f"data/{name}" for name in step.upstream), *step.files]
    return {**stage, "params": settings_of(step), "outs": [{output: {"persist": True}} if keep else output]}


@contextmanager
def one_writer(workspace: Workspace) -> Iterator[None]:
    """Held by whoever writes dvc.lock or params.yaml; others wait."""
    with file_lock(workspace.var / "dvc.writer"):
        yield
