"""What comes next is loaded while the step before it runs, by one thread, and never more than a few of it."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

from omnihuman.placement import thread_of_one_core

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Prefetch(Generic[Key, Value]):
    """Values by key, of which those that follow are loaded ahead. A value is a function of its key alone, so that a wrong guess of what
    follows costs time and changes nothing.

    Attributes:
        waited: seconds that callers waited for values.
    """

    def __init__(self, load: Callable[[Key], Value], following: Callable[[Key], Iterator[Key]], depth: int):
        """`depth` values are kept ready or loaded at a time, beside the one that is in use; 0 loads each when it is asked for."""
        self._load, self._following, self._depth = load, following, depth
        self._pool: ThreadPoolExecutor | None = None
        self._ahead: OrderedDict[Key, Future[Value]] = OrderedDict()
        self.waited = 0.0

    def get(self, key: Key) -> Value:
        """The value of `key`; what follows it is loaded from now on."""
        began = time.perf_counter()
        future = self._ahead.pop(key, None)
        value = self._load(key) if future is None else future.result()
        self.waited += time.perf_counter() - began
        if self._depth:
            self._go_on(key)
        return value

    def _go_on(self, key: Key) -> None:
        if self._pool is None:
            self._pool = thread_of_one_core("prefetch")
        wanted = list(islice(self._following(key), self._depth))
        for stale in [other for other in self._ahead if other not in wanted]:
            self._ahead.pop(stale).cancel()
        for other in wanted:
            if other not in self._ahead:
                self._ahead[other] = self._pool.submit(self._load, other)
