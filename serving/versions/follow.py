"""Follow an alias of the registry: look where it stands, load what it stands at beside what is served, and offer it."""

import logging
import threading
import time
from collections.abc import Callable

from media.user_error import is_mendable
from omnihuman.placement import thread_of_one_core
from serving.model_choice import LoadedModel
from serving.versions.served_models import ServedModels
from tracking.model_address import ModelAddress
from tracking.registry import Registry, RegistryError

logger = logging.getLogger(__name__)
TRY_AGAIN = 300.0  # seconds until a version that could not be loaded is tried once more
Load = Callable[[ModelAddress], LoadedModel]


class Follower(threading.Thread):
    """Looks every few seconds, and at once when it is woken.

    Args:
        registry: of the alias.
        address: `NAME@ALIAS`.
        models: what is served.
        load: reads and verifies a version while others generate.
        seconds: between two looks.
    """

    def __init__(self, registry: Registry, address: ModelAddress, models: ServedModels, load: Load, seconds: float):
        super().__init__(name="follower", daemon=True)
        self._registry, self.address, self._models, self._load, self._seconds = registry, address, models, load, seconds
        self._awake, self._ending = threading.Event(), threading.Event()
        self._failed: dict[int, float] = {}
        self._reading = thread_of_one_core("reads-versions")  # videos are made meanwhile

    def wake(self) -> None:
        """Look now."""
        self._awake.set()

    def stop(self) -> None:
        """End after the look under way."""
        self._ending.set()
        self._awake.set()

    def run(self) -> None:
        """Until `stop`."""
        while not self._ending.is_set():
            self._awake.wait(self._seconds)
            self._awake.clear()
            if self._ending.is_set():
                return
            try:
                self.look()
            except Exception:  # whatever a store meets: what is served goes on, and the next look may find it well
                logger.exception("looking at %s failed", self.address)
                self._models.keep(f"looking at {self.address} failed, the log says why")

    def look(self) -> None:
        """Look once, and load where the alias stands at another version."""
        number = self._stands_at()
        if number is None:
            return
        models, canary = self._models, self._models.canary
        if number == models.current.version:
            models.stay()
        elif (canary is not None and canary.version == number) or models.returned(number):
            return
        elif time.monotonic() - self._failed.get(number, -TRY_AGAIN) >= TRY_AGAIN:
            self._switch_to(number)

    def _stands_at(self) -> int | None:
        """The version; None, and what is wrong is said, where there is none."""
        try:
            number = self._registry.aliases(self.address.name).get(self.address.alias)
        except RegistryError as error:
            self._models.keep(str(error))
            return None
        if number is None:
            self._models.keep(
                f"{self.address.name} has no version with alias {self.address.alias!r} any more; `omnihuman promote VERSION` sets it"
            )
        return number

    def _switch_to(self, number: int) -> None:
        address = ModelAddress(self.address.name, version=number)
        try:
            loaded = self._reading.submit(self._load, address).result()
        except Exception as error:
            if not is_mendable(error):
                logger.exception("%s cannot be loaded", address)
            self._failed[number] = time.monotonic()
            self._models.keep(f"version {number} of {self.address.name} cannot be served: {error}")
            return
        still = self._stands_at()
        if still == number:
            self._models.offer(loaded)
        elif still is not None:
            self.wake()  # it moved on while this one was loaded
