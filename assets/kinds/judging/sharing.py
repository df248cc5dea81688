"""Processes that share the clips of a benchmark: this one and others, each on a device."""

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self

import torch

from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from curation.workers import PROCESSES_VARIABLE
from evaluation.benchmark.generate import Share
from networks.on_device import threads
from training.run.supervise import end_with_parent

Other = Callable[..., None]
"""Called in a process of its own with what it is given, its share and its device; a function of a module."""


class Sharing:
    """This process and others, as many as devices, that share one work after the other. The others are started when first asked, once for all,
    because their imports take ten seconds; they end with the block, or when this process is killed."""

    def __init__(self, devices: Sequence[str]):
        """`devices`: of each process, this one's first; two or more."""
        self.devices = devices
        # As many threads in all as this process has alone.
        self.threads = max(1, torch.get_num_threads() // len(devices))
        self._pool = ProcessPoolExecutor(
            len(devices) - 1,
            mp_context=multiprocessing.get_context("forkserver"),
            initializer=_begin,
            initargs=(self.threads,),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)

    def do(self, own: Callable[[Share], None], other: Other, given: tuple[Any, ...], what: str) -> None:
        """Have each process do a share of some work, and wait for all; what each has done lies on disk.

        Args:
            own: does this process's share, on as many threads as the others have, so that all round alike.
            other: does another's, where it is called with `*given`, the share and its device.
            given: what pickles.
            what: the work, for the message: "the videos of teacher".

        Raises:
            AssetError: another process was killed.
        """
        processes = len(self.devices)
        try:
            others = [
                self._pool.submit(other, *given, Share(index, processes), device)
                for index, device in enumerate(self.devices)
                if index
            ]
            with threads(self.threads):
                own(Share(0, processes))
            for one in others:
                one.result()
        except BrokenProcessPool as error:
            raise AssetError(
                f"a process that shared {what} was killed, perhaps for memory; what is made stays, so start again, with a smaller "
                f"{PROCESSES_VARIABLE} if it was memory"
            ) from error


def share_among_processes(
    devices: Sequence[str], own: Callable[[Share], None], other: Other, given: tuple[Any, ...], what: str
) -> None:
    """One work of a `Sharing` on `devices`, whose `do` has the other arguments and the error."""
    with Sharing(devices) as sharing:
        sharing.do(own, other, given, what)


def on_device(workspace: Workspace, device: str) -> Workspace:
    """The same workspace, whose models generate and whose networks judge on `device`."""
    there = workspace.profile.evaluation.model_copy(update={"device": device})
    return Workspace(workspace.root, workspace.profile.model_copy(update={"evaluation": there}))


def _begin(number: int) -> None:
    # The parent is multiprocessing's server, which ends when the process that shares does, killed too.
    end_with_parent(signal.SIGKILL)
    torch.set_num_threads(number)
