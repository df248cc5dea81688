"""The frozen encoders of a profile on every GPU of this machine, or on its cores: a batch goes to the one that has the fewest."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from curation.features.encoders import (
    ConditionEncoders,
    Encoded,
    Encoders,
    decoding_processes,
    load_encoders,
    window_bytes,
)
from curation.features.training_samples import CutSample
from omnihuman.placement import devices, thread_of_one_core
from profiles import Profile
from profiles.schema import Bucket, VideoConfig

BATCHES_EACH = 2  # that a GPU or a core has, so that it need not wait for its next


def encoders_here(profile: Profile) -> Encoders:
    """The profile's encoders on the GPUs of this machine, or on its cores, with the errors of `load_encoders`."""
    _, *gpus = devices()
    if len(gpus) > 1:
        return EncodersSideBySide([partial(load_encoders, profile, torch.device(gpu)) for gpu in gpus])
    encoders = load_encoders(profile)
    return encoders if gpus else on_cores(encoders)


def on_cores(encoders: ConditionEncoders) -> Encoders:
    """The encoders on each core of the processor, one torch thread each: a batch is encoded to the same bits however many there are. Weights are in memory
    once. On one core, and where `encoding_gib` does not hold a window for each, one batch follows the other."""
    number = _cores()
    if number < 2 or _windows_in_memory(encoders) < number:
        return encoders
    curation = encoders.profile.curation
    share = curation.model_copy(update={"encoding_gib": curation.encoding_gib / number})
    first = replace(encoders, profile=encoders.profile.model_copy(update={"curation": share}))
    return EncodersSideBySide([lambda: first, *[partial(_twin, first)] * (number - 1)])


def _cores() -> int:
    """Those that decoding leaves, and both of two: what is decoded is a third of what is encoded."""
    cores = os.cpu_count() or 1
    return max(min(cores, 2), cores - decoding_processes())


def _windows_in_memory(encoders: ConditionEncoders) -> int:
    """How many windows of the largest bucket may be under way."""
    largest = max(window_bytes(encoders.autoencoder, bucket) for bucket in encoders.profile.video.all_buckets)
    return int(encoders.profile.curation.encoding_gib * 2**30 // largest)


def _twin(encoders: ConditionEncoders) -> ConditionEncoders:
    """The same weights in another autoencoder: Wan's remembers the frames before in itself while it encodes."""
    weights = [*encoders.autoencoder.parameters(), *encoders.autoencoder.buffers()]
    return replace(encoders, autoencoder=deepcopy(encoders.autoencoder, {id(weight): weight for weight in weights}))


class EncodersSideBySide:
    """What `ConditionEncoders` does, by several of them. All but the first load when a batch is begun there for the first time, one after the
    other, for on their way to GPUs networks lie in the machine's memory."""

    def __init__(self, load: Sequence[Callable[[], ConditionEncoders]]):
        """`load`: makes each of them."""
        self._places = [_Place(one, f"encoders-{number}") for number, one in enumerate(load)]
        self._first = self._places[0].encoders

    @property
    def at_once(self) -> int:
        """Batches that may be under way."""
        return BATCHES_EACH * len(self._places)

    def row_shapes(self, video: VideoConfig) -> dict[str, tuple[int, ...]]:
        """As `ConditionEncoders.row_shapes`."""
        return self._first.row_shapes(video)

    def windows_at_once(self, bucket: Bucket) -> int:
        """As `ConditionEncoders.windows_at_once`."""
        return self._first.windows_at_once(bucket)

    def null_text(self) -> np.ndarray:
        """As `ConditionEncoders.null_text`."""
        return self._first.null_text()

    def encode_captions(self, captions: list[str]) -> dict[str, np.ndarray]:
        """As `ConditionEncoders.encode_captions`: of a caption a window's thousandth is asked, and the first is enough."""
        return self._first.encode_captions(captions)

    def begin(self, part: str, batch: list[CutSample], video: VideoConfig) -> Encoded:
        """Have a batch encoded; what comes back waits for its tensors, as `ConditionEncoders.encode` gives them, and is called once.

        Raises:
            ProfileError, OSError, torch.OutOfMemoryError: a GPU cannot be given its networks.
        """
        # Of each part by itself: pictures take twenty times as long as sound, and both of a batch come one after the other.
        fewest = min(self._places, key=lambda place: (place.under_way[part], place.under_way.total()))
        return fewest.begin(part, batch, video)

    def encode(self, part: str, batch: list[CutSample], video: VideoConfig) -> dict[str, np.ndarray]:
        """As `ConditionEncoders.encode`."""
        return self.begin(part, batch, video)()


class _Place:
    """A GPU or a core, and the thread that it is asked from."""

    def __init__(self, load: Callable[[], ConditionEncoders], name: str):
        self._load, self._thread = load, thread_of_one_core(name)
        self.under_way = Counter[str]()

    @cached_property
    def encoders(self) -> ConditionEncoders:
        return self._load()

    def begin(self, part: str, batch: list[CutSample], video: VideoConfig) -> Encoded:
        asked = [self._thread.submit(self.encoders.encode, part, batch, video)]
        self.under_way[part] += 1
        return partial(self._wait, part, asked)

    def _wait(self, part: str, asked: list[Future[dict[str, Any]]]) -> dict[str, np.ndarray]:
        """Taken out of its list, for an error holds the frames that it came through, and they hold tensors: nothing may hold the error."""
        try:
            return asked.pop().result()
        finally:
            self.under_way[part] -= 1
