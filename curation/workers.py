"""Work over clips on all cores, in order, with few results waiting at a time."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import Any, Protocol, TypeVar

import cv2
import psutil

from curation.errors import CurationError

Item = TypeVar("Item")
Result = TypeVar("Result")
State = TypeVar("State")
Progress = Callable[[int, int, str], None]
"""Called with (done, total, note)."""

PROCESSES_VARIABLE = "OMNIHUMAN_PROCESSES"
LEAST = 2  # so that one waits for a disk while the other computes
EACH = 2 * 2**30  # bytes that a process may take: detectors, networks and a clip's frames
AHEAD = (
    16  # results that are waited for, or one a process; clips of long high-resolution video would fill memory otherwise
)
# Where the functions are that are called here, and what most of them import when they are called. Of them networks of scores alone need
# torch, and import it themselves.
IMPORTED = [
    "curation.intake.inspect_file",
    "curation.scores.table",
    "curation.features.training_samples",
    "scipy.signal",
]
FEW = 8  # starting processes costs more than so few clips

_state: Any = None


class OverClips(Protocol):
    """`map_over_clips`, or what does the same elsewhere (`curation.on_ray.actors`)."""

    def __call__(
        self,
        function: Callable[[State, Item], Result],
        state: State,
        items: Sequence[Item],
        progress: Progress | None = None,
        note: str = "",
        processes: int | None = None,
        lost: Callable[[Item], Result] | None = None,
        ahead: int = AHEAD,
    ) -> Iterator[Result]: ...


def processes_asked() -> int | None:
    """What `OMNIHUMAN_PROCESSES` says; None where it says nothing.

    Raises:
        CurationError: it is no number of processes.
    """
    said = os.environ.get(PROCESSES_VARIABLE, "")
    if said and (not said.isdecimal() or int(said) < 1):
        raise CurationError(f"{PROCESSES_VARIABLE} is {said!r}; give a number of processes, 1 or more, or leave it out")
    return int(said) if said else None


def processes_here() -> int:
    """As many as are asked for, else one for each core that this process may use, as far as memory goes, and two at least."""
    there = max(LEAST, min(len(os.sched_getaffinity(0)), psutil.virtual_memory().available // EACH))
    return processes_asked() or there


def map_over_clips(
    function: Callable[[State, Item], Result],
    state: State,
    items: Sequence[Item],
    progress: Progress | None = None,
    note: str = "",
    processes: int | None = None,
    lost: Callable[[Item], Result] | None = None,
    ahead: int = AHEAD,
) -> Iterator[Result]:
    """`function(state, item)` for each item, in order.

    `state` reaches each process once, so a detector with weights is not sent with every clip. Processes are forked by a server
    that has imported what they need, once for all calls of this process, and that has no threads; the caller may hold some
    (Dagster's, torch's), and forking those can deadlock.

    Args:
        function, state, items: what to call.
        progress, note: told after each item.
        processes: None is `processes_here()`; 0 works in this one, as a few items do.
        lost: the result for an item on which a process died (a decoder's crash, the kernel's memory limit); without it
            that is a `BrokenProcessPool`.
        ahead: results that are under way or wait, at least one a process.
    """
    results: Iterator[Result] = (function(state, item) for item in items)
    wanted = 0 if len(items) <= FEW else processes_here() if processes is None else processes
    if wanted > 0:
        results = _parallel(function, state, items, wanted, lost, max(ahead, wanted))
    yield from told(results, len(items), progress, note)


def told(results: Iterable[Result], total: int, progress: Progress | None, note: str) -> Iterator[Result]:
    """Each of `total` results, and `progress` told after it, once the next is asked for."""
    for done, result in enumerate(results, start=1):
        yield result
        if progress is not None:
            progress(done, total, note)


def _parallel(
    function: Callable, state: Any, items: Sequence, processes: int, lost: Callable[[Any], Any] | None, ahead: int
) -> Iterator:
    done = 0
    while done < len(items):
        try:
            for result in _pooled(function, state, items[done:], processes, ahead):
                yield result
                done += 1
        except BrokenProcessPool:
            if lost is None:
                raise
            # Any of those under way may have ended the process: each is tried again alone, and the rest goes on.
            for item in items[done : done + ahead]:
                yield _alone(function, state, item, lost)
                done += 1


def _pooled(function: Callable, state: Any, items: Iterable, processes: int, ahead: int) -> Iterator:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_receive, initargs=(state,)) as pool:
        waiting: deque[Future] = deque()
        rest = iter(items)
        try:
            for item in islice(rest, ahead):
                waiting.append(pool.submit(_call, function, item))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(_call, function, item) for item in islice(rest, 1))
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _alone(function: Callable, state: Any, item: Any, lost: Callable[[Any], Any]) -> Any:
    try:
        return next(_pooled(function, state, [item], 1, 1))
    except BrokenProcessPool:
        return lost(item)


def _receive(state: Any) -> None:
    global _state
    _state = state
    cv2.setNumThreads(1)


def _call(function: Callable, item: Any) -> Any:
    return function(_state, item)
