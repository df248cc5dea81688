"""Processes that share the clips of a benchmark: this one and others, each on a device."""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from threading import Thread
from types import TracebackType
from typing import Any, Self

import torch

from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from curation.workers import PROCESSES_VARIABLE
from evaluation.benchmark.generate import Share
from networks.on_device import threads

Other = Callable[..., None]
"""Called in a process of its own with what it is given, its share and its device; a function of a module."""


class Sharing:
    """This process and others, as many as devices, that share one work after the other. The others are started when first asked, once for all,
    because their imports take ten seconds; each keeps its device. They end with the block, at once where it ends by an error, and when this
    process is killed."""

    def __init__(self, devices: Sequence[str]):
        """`devices`: of each process, this one's first; two or more."""
        self.devices = devices
        # As many threads in all as this process has alone.
        self.threads = max(1, torch.get_num_threads() // len(devices))
        context = multiprocessing.get_context("forkserver")
        self._watched, self._held = context.Pipe(duplex=False)
        self._pools = [
            ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(self.threads, self._watched))
            for _ in devices[1:]
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._held.close()  # what is whole lies on disk; nobody waits for the rest
        for pool in self._pools:
            pool.shutdown(cancel_futures=kind is not None)
        self._held.close()
        self._watched.close()

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
                pool.submit(_do, other, given, Share(index, processes), device)
                for index, (pool, device) in enumerate(zip(self._pools, self.devices[1:], strict=True), start=1)
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


def _begin(number: int, held: Connection) -> None:
    torch.set_num_threads(number)
    Thread(target=_end_with, args=(held,), daemon=True).start()


def _end_with(held: Connection) -> None:
    """Kill this process when the one that shares does: it is not the parent, which is multiprocessing's server, and lives as long as any of these.
    The same when that lets go of what it holds."""
    first = multiprocessing.parent_process()
    wait([held] if first is None else [held, first.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _do(other: Other, given: tuple[Any, ...], share: Share, device: str) -> None:
    other(*given, share, device)
    if torch.device(device).type == "cuda":  # the next model's weights need the room
        gc.collect()
        torch.cuda.empty_cache()
