"""The frozen encoders of a profile in actors of a Ray cluster: a batch goes to the one that has the fewest."""

import socket
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayActorError, RayTaskError

from curation.errors import CurationError
from curation.features.encoders import ConditionEncoders, load_encoders
from curation.features.training_samples import CutSample
from media.user_error import UserError
from profiles import Profile
from profiles.schema import Bucket, VideoConfig

BATCHES_EACH = 2  # that an actor has, so that it need not wait for its next
RETRIES = 2  # of a batch whose actor ended


class EncoderLostError(Exception):
    """A batch whose actor ended each time that it was tried; none of the others' doing, so it is tried clip by clip."""


class Encoder:
    """Loads at the first call, so that what is missing on its node is said by name."""

    def __init__(self, profile: Profile):
        self._profile = profile

    def call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self._encoders, method)(*arguments)
        except (UserError, OSError) as error:
            raise CurationError(f"on Ray's node {socket.gethostname()}: {error}") from error

    @cached_property
    def _encoders(self) -> ConditionEncoders:
        return load_encoders(self._profile)


class RayEncoders:
    """What `ConditionEncoders` does, by actors of the cluster that this process is connected to. They start with the first call."""

    def __init__(self, profile: Profile, actors: int = 1, cpus: float = 1.0, gpus: float = 1.0):
        """`cpus` and `gpus` are of each actor."""
        self._profile, self._count, self._cpus, self._gpus = profile, actors, cpus, gpus
        self._actors: list[tuple[Any, set[Any]]] = []  # with what each has under way

    @property
    def at_once(self) -> int:
        """Batches that may be under way."""
        return BATCHES_EACH * self._count

    def row_shapes(self, video: VideoConfig) -> dict[str, tuple[int, ...]]:
        """As `ConditionEncoders.row_shapes`."""
        return self._call("row_shapes", video)()

    def windows_at_once(self, bucket: Bucket) -> int:
        """As `ConditionEncoders.windows_at_once`."""
        return self._call("windows_at_once", bucket)()

    def null_text(self) -> np.ndarray:
        """As `ConditionEncoders.null_text`."""
        return self._call("null_text")()

    def encode_captions(self, captions: list[str]) -> dict[str, np.ndarray]:
        """As `ConditionEncoders.encode_captions`."""
        return self._call("encode_captions", captions)()

    def begin(self, part: str, batch: list[CutSample], video: VideoConfig) -> Callable[[], dict[str, np.ndarray]]:
        """Have a batch encoded; what comes back waits for its tensors, as `ConditionEncoders.encode` gives them.

        Raises, when it is called:
            CurationError: what a person can mend on a node, with its name.
            EncoderLostError: the actor ended each time.
        """
        return self._call("encode", part, batch, video)

    def encode(self, part: str, batch: list[CutSample], video: VideoConfig) -> dict[str, np.ndarray]:
        """As `ConditionEncoders.encode`."""
        return self.begin(part, batch, video)()

    def end(self) -> None:
        """End the actors, where any were started."""
        for actor, _ in self._actors:
            ray.kill(actor)
        self._actors.clear()

    def _call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        if not self._actors:
            encoder: Any = ray.remote(max_restarts=-1, max_task_retries=RETRIES)(Encoder)
            needs = encoder.options(num_cpus=self._cpus, num_gpus=self._gpus)
            self._actors += [(needs.remote(self._profile), set()) for _ in range(self._count)]
        actor, under_way = min(self._actors, key=lambda pair: len(pair[1]))
        reference = actor.call.remote(method, *arguments)
        under_way.add(reference)

        def wait() -> Any:
            try:
                return ray.get(reference)
            except RayTaskError as error:
                raise (error.cause if isinstance(error.cause, Exception) else error) from error
            except RayActorError as error:
                raise EncoderLostError(f"the actor of the encoders ended {1 + RETRIES} times: {error}") from error
            finally:
                under_way.discard(reference)

        return wait
