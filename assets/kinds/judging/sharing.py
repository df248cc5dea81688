"""Processes that share the clips of a benchmark: this one and others, each on a device."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import torch

from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from curation.workers import PROCESSES_VARIABLE
from evaluation.benchmark.generate import Share

Other = Callable[..., None]
"""Called in a process of its own with what it is given, its share and its device; a function of a module."""


def share_among_processes(
    devices: Sequence[str], own: Callable[[Share], None], other: Other, given: tuple[Any, ...], what: str
) -> None:
    """Have as many processes as devices each do a share of some work, this one the first; what each has done lies on disk.

    Args:
        devices: of each process.
        own: does this process's share.
        other: does another's, where it is called with `*given`, the share and its device.
        given: what pickles.
        what: the work, for the message: "the videos of teacher".

    Raises:
        AssetError: another process was killed.
    """
    with ProcessPoolExecutor(len(devices) - 1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        others = [
            pool.submit(_do, other, given, Share(index, len(devices)), device)
            for index, device in enumerate(devices)
            if index
        ]
        own(Share(0, len(devices)))
        try:
            for one in others:
                one.result()
        except BrokenProcessPool as error:
            raise AssetError(
                f"a process that shared {what} was killed, perhaps for memory; what is made stays, so start again, with a smaller "
                f"{PROCESSES_VARIABLE} if it was memory"
            ) from error


def on_device(workspace: Workspace, device: str) -> Workspace:
    """The same workspace, whose models generate and whose networks judge on `device`."""
    there = workspace.profile.evaluation.model_copy(update={"device": device})
    return Workspace(workspace.root, workspace.profile.model_copy(update={"evaluation": there}))


def _do(other: Other, given: tuple[Any, ...], share: Share, device: str) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // share.of))
    other(*given, share, device)
