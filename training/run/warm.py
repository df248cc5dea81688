"""Trainings of this machine without their imports: a warm process has made them once, and forks the ranks of each training.

A launcher and a rank import torch, DeepSpeed, diffusers and MLflow for half a minute of a core before the first step. Inside
`warm_trainings()`, trainings that this process starts share that. What is started is as real as what DeepSpeed's launcher starts: a
session of its own, a process per rank, the same variables, signals, stop requests and exit codes, and the same losses to the last bit.

DeepSpeed's launcher stays for several machines, for launchers elsewhere, for accelerators (whose drivers do not survive a fork) and
wherever OMNIHUMAN_WARM=0 asks for it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from training.run.forked import ForkedProcess, OwnForkServer, fork
from training.run.jobs import TrainingJob
from training.run.launch import SCRIPT, Process, _free_port
from training.run.supervise import ask_to_stop, end_with_parent

WARM_VARIABLE = "OMNIHUMAN_WARM"  # "0": never; an address: the fork server that listens there, whoever owns it
# The training's own modules, and what they and DeepSpeed import only when they are first used.
MODULES = (
    "deepspeed.runtime.engine",
    "deepspeed.runtime.zero.muon.muon_optimizer",
    "deepspeed.runtime.zero.stage3",
    "deepspeed.runtime.zero.stage_1_and_2",
    "matplotlib.backends.backend_agg",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "pyarrow.parquet",
    "training.train",
    "training.run.finished",
    "training.run.recorder",
    "training.stages.stage",
    "training.distillation.consistency",
    "training.distillation.decoder",
    "training.distillation.adversarial",
    "dagster_pipes",
)
PATIENCE = 30.0  # seconds for a rank to end after SIGTERM, as in DeepSpeed's launcher
_open: list["WarmTrainings"] = []


class WarmTrainings:
    """The server of this process, started with the first training that it can serve."""

    def __init__(self) -> None:
        self._server: OwnForkServer | None = None

    def address(self, environment: dict[str, str]) -> Path:
        """Of a server that has imported everything in this environment."""
        if self._server is not None and not self._server.fits(environment):
            self.close()
        if self._server is None:
            self._server = OwnForkServer(MODULES, environment)
        return self._server.address

    def close(self) -> None:
        """Let the server end."""
        if self._server is not None:
            self._server.close()
        self._server = None


@contextmanager
def warm_trainings() -> Iterator[None]:
    """Trainings that this process starts inside the block share one set of imports; a block inside such a block adds nothing."""
    if _open:
        yield
        return
    trainings = WarmTrainings()
    _open.append(trainings)
    try:
        yield
    finally:
        _open.remove(trainings)
        trainings.close()


def start_process(
    process: Process, environment: dict[str, str], folder: Path, output: int | None = subprocess.PIPE
) -> "subprocess.Popen[bytes] | ForkedProcess":
    """Start it here, warm where that is open and possible. It prints all to `output`, by default a pipe; None is this process's own.

    It leads a session of its own, so that Ctrl-C in a terminal reaches it once, through this process, and not a second time as
    one of the terminal's group.
    """
    address = _server_for(process, environment)
    if address is not None and process.job is not None:
        ranks = TrainingJob.read(process.job).profile.engine.ranks
        return start_warm(address, process.job, environment, folder, ranks, output)
    errors = None if output is None else subprocess.STDOUT
    return subprocess.Popen(
        process.command, env=environment, cwd=folder, stdout=output, stderr=errors, start_new_session=True
    )


def start_warm(
    address: Path,
    job: Path,
    environment: dict[str, str],
    folder: Path,
    ranks: int,
    output: int | None = subprocess.PIPE,
) -> ForkedProcess:
    """Have the server at `address` fork the training of `job`, which prints all to `output`."""
    return fork(address, f"{__name__}:train_ranks", [str(job), ranks], environment, folder, output)


def _server_for(process: Process, environment: dict[str, str]) -> Path | None:
    """The server that can fork this process, or None where DeepSpeed's launcher is to start it."""
    wish = environment.get(WARM_VARIABLE, "")
    if process.job is None or wish == "0" or not (wish or _open):
        return None
    if environment.get("DS_ACCELERATOR") != "cpu" or TrainingJob.read(process.job).profile.engine.hostfile is not None:
        return None
    return Path(wish) if wish else _open[-1].address(environment)


def train_ranks(job: str, ranks: int) -> object:
    """In a forked process: fork the ranks, wait for them, and return the exit code; in a rank: train.

    What DeepSpeed's launcher below `training.run.supervise` does: one rank that fails ends the others; a first SIGTERM or SIGINT
    asks for a checkpoint, a second ends all.
    """
    stop = Path(job).with_name("stop")
    stop.unlink(missing_ok=True)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(ranks)}
    shared |= {"CROSS_RANK": "0", "CROSS_SIZE": "1", "LOCAL_SIZE": str(ranks)}
    alive: dict[int, int] = {}
    for rank in range(ranks):
        pid = os.fork()
        if pid == 0:
            return _train(job, rank, shared)
        alive[pid] = rank
        print(f"rank {rank} of {job} is process {pid}", flush=True)
    ask_to_stop(stop, lambda: _signal(alive, signal.SIGTERM))
    end_with_parent()  # a server that is killed ends its trainings as a request to stop does
    while alive:
        pid, status = os.wait()
        rank, code = alive.pop(pid), os.waitstatus_to_exitcode(status)
        if code:
            print(f"rank {rank} of {job} exits with return code = {code}", file=sys.stderr, flush=True)
            _end(alive)
            return code if code > 0 else 128 - code
    return 0


def _train(job: str, rank: int, shared: dict[str, str]) -> int:
    """What DeepSpeed's launcher starts as a rank, in this process."""
    from training import train

    end_with_parent()
    os.environ.update(shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
    sys.argv = [str(SCRIPT), f"--local_rank={rank}", "--job", job]
    return train.main()


def _end(ranks: dict[int, int]) -> None:
    """End all ranks: asked first, killed where they do not within `PATIENCE`."""
    for number, seconds in ((signal.SIGTERM, PATIENCE), (signal.SIGKILL, PATIENCE)):
        _signal(ranks, number)
        deadline = time.monotonic() + seconds
        while ranks and time.monotonic() < deadline:
            with suppress(ChildProcessError):
                pid, _ = os.waitpid(-1, os.WNOHANG)
                ranks.pop(pid, None)
            time.sleep(0.05)


def _signal(ranks: dict[int, int], number: int) -> None:
    for pid in list(ranks):
        os.kill(pid, number)
