"""Trainings started by this process: the ranks of this machine, warm or by DeepSpeed's launcher, and over ssh those of a hostfile."""

import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO

import dagster as dg
from dagster._core.errors import DagsterExecutionInterruptedError, DagsterPipesExecutionError
from dagster._core.pipes.context import PipesExecutionResult

from assets.core.workspace import Workspace
from assets.launchers.shared_disk import SharedDiskMessages, beat_file, message_file
from training.run.attempt_lock import BEAT_VARIABLE, beating
from training.run.forked import ForkedProcess
from training.run.launch import Process
from training.run.warm import start_process

# A DeepSpeed checkpoint takes longer to write than Pipes' 20 seconds.
TERMINATION_SECONDS = 180.0
TAIL_LINES = 40


def run_here(
    context: dg.AssetExecutionContext, process: Process, workspace: Workspace
) -> Sequence[PipesExecutionResult]:
    """Run to the end; what the process prints is this one's output. Returns what it reported through Pipes.

    Raises:
        DagsterPipesExecutionError: it failed; with its last lines.
    """
    hosts = process.job is not None and workspace.profile.engine.hostfile is not None
    reader = SharedDiskMessages(message_file(process, context.run_id)) if hosts else dg.PipesTempFileMessageReader()
    beat = beat_file(process, context.run_id) if hosts else None
    environment = process.environment | ({BEAT_VARIABLE: str(beat)} if beat else {})
    with (
        dg.open_pipes_session(context, dg.PipesEnvContextInjector(), reader) as session,
        beating(beat) if beat else nullcontext(),
    ):
        _run(process, environment | dict(session.get_bootstrap_env_vars()), workspace.root)
    return session.get_results(implicit_materializations=False)


def _run(process: Process, environment: dict[str, str], folder: Path) -> None:
    child = start_process(process, environment, folder)
    assert child.stdout is not None
    tail: deque[bytes] = deque(maxlen=TAIL_LINES)
    forward = threading.Thread(target=_forward, args=(child.stdout, tail), daemon=True)
    forward.start()
    try:
        code = child.wait()
    except (DagsterExecutionInterruptedError, KeyboardInterrupt):
        _end(child)
        raise
    forward.join(timeout=10.0)  # a rank that outlives the launcher by a moment holds the pipe
    if code:
        lines = b"".join(tail).decode(errors="replace")
        raise DagsterPipesExecutionError(f"{process.command[-1]} ended with exit code {code}; its last lines:\n{lines}")


def _end(child: subprocess.Popen | ForkedProcess) -> None:
    """Ask it to end, and ask again. The launcher ends every rank; killed, it would leave them to notice that it is gone."""
    for _ in range(2):
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            child.wait(timeout=TERMINATION_SECONDS)
            return
    child.kill()


def _forward(source: IO[bytes], tail: deque[bytes]) -> None:
    for line in source:
        tail.append(line)
        os.write(1, line)
