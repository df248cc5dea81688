"""What a training on another machine and Dagster tell each other, through the disk that both see: reports one way, signs of life the other.

A report over a log stream (Dagster's default for pods and Ray jobs) can be torn by lines of other ranks, or cut off with a
rotated log; a training of days would then look like a failure.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster import PipesFileMessageReader, PipesMessageHandler
from dagster_pipes import PipesParams

from assets.launchers.settings import Elsewhere
from training.run.launch import Process

ARRIVAL_SECONDS = 60.0  # a network file system may show the last lines that late


def remote_command(process: Process, settings: Elsewhere) -> list[str]:
    """The same training, as the command that becomes the DeepSpeed launcher on the machine that trains."""
    return [settings.python, "-m", "training.run.launch", "--job", str(process.job)]


def message_file(process: Process, run_id: str) -> Path:
    """Beside the job file, one for each run: an earlier attempt that still writes does not reach this one."""
    assert process.job is not None
    return process.job.with_name(f"pipes-{run_id}.jsonl")


def beat_file(process: Process, run_id: str) -> Path:
    """What the launcher renews for as long as it waits."""
    assert process.job is not None
    return process.job.with_name(f"launcher-{run_id}.alive")


class SharedDiskMessages(PipesFileMessageReader):
    """Messages through a file that another machine writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))

    @contextmanager
    def read_messages(self, handler: PipesMessageHandler) -> Iterator[PipesParams]:
        """Dagster's; where the training ended well it also waits until what it wrote last can be seen here."""
        with super().read_messages(handler) as params:
            yield params
            deadline = time.monotonic() + ARRIVAL_SECONDS
            while (
                handler.received_opened_message and not handler.received_closed_message and time.monotonic() < deadline
            ):
                open(self._path).close()  # NFS asks the server what is new when a file is opened
                time.sleep(0.2)
