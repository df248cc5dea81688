"""Work over clips by actors of a Ray cluster, in order, with few results waiting at a time.

An actor has at most `DEPTH` clips, and at most `ahead` results are under way or wait: that is the back-pressure. Where an actor
ends, the clips that it had go to others; the one that it was at is blamed, unless its machine went, and is given up after the second time.
An answer can be lost with the process that gave it and had begun the next clip: the blame may be another's, so what an actor had when it
ended is tried again with nothing behind it.
"""

import logging
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import ray
from ray.exceptions import ActorUnavailableError, ObjectLostError, RayActorError, RayTaskError

from curation.errors import CurationError
from curation.workers import AHEAD, Item, Progress, Result, State, told
from media.user_error import UserError

DEPTH = 2  # so that an actor need not wait for its next clip
BLAMED = 2  # ends of an actor on a clip, after which it is given up
STARTS = 10  # actors in a row that ended before they did anything
QUIET_SECONDS = 60.0  # after which it is said that the cluster has no room

_log = logging.getLogger(__name__)


class Worker:
    """Calls a function on one item after the other. A state reaches it once, with the first item that it belongs to."""

    def __init__(self) -> None:
        cv2.setNumThreads(1)
        self._known: Any = None
        self._state: Any = None

    def node(self) -> str:
        return ray.get_runtime_context().get_node_id()

    @ray.method(num_returns=2)
    def call(self, function: Callable, state: tuple[Any], item: Any) -> tuple[None, Any]:
        """`state` holds an ObjectRef. The first value tells that the second, which may be large, is there."""
        if state[0] != self._known:
            self._state, self._known = ray.get(state[0]), state[0]
        try:
            return None, function(self._state, item)
        except UserError as error:
            raise CurationError(f"on Ray's node {socket.gethostname()}: {error}") from error


@dataclass
class _Task:
    item: Any
    value: Any = None  # ObjectRef, once it is done
    done: bool = False
    blamed: int = 0
    alone: bool = False  # with nothing before or behind it in its actor


@dataclass(eq=False)
class _Actor:
    handle: Any
    starting: Any  # ObjectRef of the node; None once it is known
    node: str = ""
    at: deque[tuple[_Task, Any, Any]] = field(default_factory=deque)  # tasks with status and value, oldest first

    def takes(self, task: _Task) -> bool:
        """Whether there is room for it."""
        if task.alone or any(entry[0].alone for entry in self.at):
            return self.starting is None and not self.at
        return self.starting is None and len(self.at) < DEPTH

    @property
    def next_sign(self) -> Any:
        """ObjectRef of what it will tell next; None where it has nothing to do."""
        return self.starting if self.starting is not None else self.at[0][1] if self.at else None


class RayWorkers:
    """Actors of the cluster that this process is connected to. They start when they are first needed, and stay until `end`."""

    def __init__(self, workers: int | None = None, cpus: float = 1.0, gpus: float = 0.0, reserved: float = 1.0):
        """
        Args:
            workers: actors; None is as many as the cluster has CPUs for, but for `reserved` of them.
            cpus: of each.
            gpus: of each, a share.
            reserved: CPUs that are left to others.
        """
        self.workers, self.cpus, self.gpus, self.reserved = workers, cpus, gpus, reserved
        self.actors: list[_Actor] = []
        self._failed_starts = 0

    def map_over_clips(
        self,
        function: Callable[[State, Item], Result],
        state: State,
        items: Sequence[Item],
        progress: Progress | None = None,
        note: str = "",
        processes: int | None = None,
        lost: Callable[[Item], Result] | None = None,
        ahead: int = AHEAD,
    ) -> Iterator[Result]:
        """`curation.workers.map_over_clips` on the cluster; `processes` speaks of one machine.

        Raises:
            CurationError: what a person can mend on a node, with its name; no actor can be started.
        """
        if not items:
            return
        self._provide(min(self.count(), len(items)))
        run = _Run(self, function, state, items, lost, ahead)
        try:
            yield from told(run.results(), len(items), progress, note)
        finally:
            for actor in [actor for actor in self.actors if actor.at]:  # whoever asked does not want the rest
                ray.kill(actor.handle)
                self.actors.remove(actor)

    def count(self) -> int:
        """How many actors there are to be."""
        room = int((ray.cluster_resources().get("CPU", 0.0) - self.reserved) // self.cpus)
        return self.workers or max(1, room)

    def end(self) -> None:
        """End the actors."""
        for actor in self.actors:
            ray.kill(actor.handle)
        self.actors.clear()

    def _provide(self, count: int) -> None:
        while len(self.actors) < count:
            self.actors.append(self._start())

    def _start(self) -> _Actor:
        started: Any = ray.remote(max_restarts=0, max_task_retries=0)(Worker)
        handle = started.options(num_cpus=self.cpus, num_gpus=self.gpus).remote()
        return _Actor(handle, handle.node.remote())

    def started(self, actor: _Actor, node: str) -> None:
        """It tells on which node it is."""
        actor.node, actor.starting, self._failed_starts = node, None, 0

    def replace(self, actor: _Actor, error: RayActorError) -> None:
        """Another takes the place of one that ended by `error`.

        Raises:
            CurationError: it cannot be started.
        """
        if actor.starting is not None:
            self._failed_starts += 1
            if error.actor_init_failed or self._failed_starts >= STARTS:
                raise CurationError(f"Ray cannot start an actor that works on clips: {error}") from error
        if isinstance(error, ActorUnavailableError):
            ray.kill(actor.handle)
        self.actors[self.actors.index(actor)] = self._start()


class _Run:
    """One call of `map_over_clips`."""

    def __init__(
        self, pool: RayWorkers, function: Callable, state: Any, items: Sequence, lost: Callable | None, ahead: int
    ):
        self._pool, self._function, self._state, self._lost = pool, function, ray.put(state), lost
        self._rest, self._ahead = iter(items), max(ahead, DEPTH * len(pool.actors))
        self._waiting: deque[_Task] = deque()  # in order, until they are handed over
        self._queue: deque[_Task] = deque()  # of no actor yet

    def results(self) -> Iterator[Any]:
        while self._fill():
            first = self._waiting[0]
            if not first.done:
                self._hear()
                continue
            try:
                result = ray.get(first.value) if isinstance(first.value, ray.ObjectRef) else first.value
            except (ObjectLostError, RayActorError):  # its machine went with what it had finished
                first.done, first.value = False, None
                self._queue.appendleft(first)
                continue
            self._waiting.popleft()
            yield result

    def _fill(self) -> bool:
        """Give actors what they have room for; False when all is handed over."""
        while len(self._waiting) < self._ahead and (item := next(self._rest, self)) is not self:
            task = _Task(item)
            self._waiting.append(task)
            self._queue.append(task)
        for _ in range(DEPTH):  # one each before a second
            for actor in self._pool.actors:
                if self._queue and actor.takes(self._queue[0]):
                    given = self._queue.popleft()
                    actor.at.append((given, *actor.handle.call.remote(self._function, (self._state,), given.item)))
        return bool(self._waiting)

    def _hear(self) -> None:
        """Wait until an actor tells something."""
        signs = {sign: actor for actor in self._pool.actors if (sign := actor.next_sign) is not None}
        told, _ = ray.wait(list(signs), num_returns=1, timeout=QUIET_SECONDS)
        if not told and all(actor.starting is not None for actor in self._pool.actors):
            room, pool = ray.available_resources().get("CPU", 0.0), self._pool
            needs = f"{pool.cpus} CPU and {pool.gpus} GPU"
            _log.warning("waiting for Ray to start actors of %s; %s CPUs of the cluster are free", needs, room)
        for sign in told:
            actor = signs[sign]
            try:
                value = ray.get(sign)
            except RayTaskError as error:
                raise (error.cause if isinstance(error.cause, Exception) else error) from error
            except RayActorError as error:
                self._ended(actor, error)
                continue
            if actor.starting is not None:
                self._pool.started(actor, value)
                continue
            task, _, task_value = actor.at.popleft()
            task.value, task.done = task_value, True

    def _ended(self, actor: _Actor, error: RayActorError) -> None:
        """Others take its clips."""
        self._pool.replace(actor, error)
        at: list[_Task] = [entry[0] for entry in actor.at]
        if at and not isinstance(error, ActorUnavailableError) and _is_alive(actor.node):
            at[0].blamed += 1
            for task in at:
                task.alone = True
        _log.warning("an actor of node %s ended with %d clips under way: %s", actor.node, len(at), error)
        for task in reversed(at):
            if task.blamed < BLAMED:
                self._queue.appendleft(task)
                continue
            if self._lost is None:
                raise error
            task.value, task.done = self._lost(task.item), True


def _is_alive(node: str) -> bool:
    return any(known["NodeID"] == node and known["Alive"] for known in ray.nodes())
