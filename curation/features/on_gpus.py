"""The frozen encoders of a profile on every GPU of this machine: a batch goes to the one that has the fewest."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch

from curation.features.encoders import ConditionEncoders, Encoded, Encoders, load_encoders
from curation.features.training_samples import CutSample
from omnihuman.placement import devices
from profiles import Profile
from profiles.schema import Bucket, VideoConfig

BATCHES_EACH = 2  # that a GPU has, so that it need not wait for its next


def encoders_here(profile: Profile) -> Encoders:
    """The profile's encoders on the GPUs of this machine, or on its processor, with the errors of `load_encoders`."""
    _, *gpus = devices()
    return EncodersOnGpus(profile, gpus) if len(gpus) > 1 else load_encoders(profile)


class EncodersOnGpus:
    """What `ConditionEncoders` does, by several GPUs. All but the first load when a batch is begun there for the first time, one after the
    other, for on their way networks lie in the machine's memory."""

    def __init__(self, profile: Profile, gpus: Sequence[str]):
        self._gpus = [_OneGpu(profile, gpu) for gpu in gpus]
        self._first = self._gpus[0].encoders

    @property
    def at_once(self) -> int:
        """Batches that may be under way."""
        return BATCHES_EACH * len(self._gpus)

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
        """As `ConditionEncoders.encode_captions`: of a caption a window's thousandth is asked, and one GPU is enough."""
        return self._first.encode_captions(captions)

    def begin(self, part: str, batch: list[CutSample], video: VideoConfig) -> Encoded:
        """Have a batch encoded; what comes back waits for its tensors, as `ConditionEncoders.encode` gives them, and is called once.

        Raises:
            ProfileError, OSError, torch.OutOfMemoryError: a GPU cannot be given its networks.
        """
        return min(self._gpus, key=lambda gpu: gpu.under_way).begin(part, batch, video)

    def encode(self, part: str, batch: list[CutSample], video: VideoConfig) -> dict[str, np.ndarray]:
        """As `ConditionEncoders.encode`."""
        return self.begin(part, batch, video)()


class _OneGpu:
    """A GPU and the thread that it is asked from."""

    def __init__(self, profile: Profile, gpu: str):
        self._profile, self._device = profile, torch.device(gpu)
        self._thread = ThreadPoolExecutor(1, f"encoders on {gpu}")
        self.under_way = 0

    @cached_property
    def encoders(self) -> ConditionEncoders:
        return load_encoders(self._profile, self._device)

    def begin(self, part: str, batch: list[CutSample], video: VideoConfig) -> Encoded:
        asked = [self._thread.submit(self.encoders.encode, part, batch, video)]
        self.under_way += 1
        return partial(self._wait, asked)

    def _wait(self, asked: list[Future[dict[str, Any]]]) -> dict[str, np.ndarray]:
        """Taken out of its list, for an error holds the frames that it came through, and they hold tensors: nothing may hold the error."""
        try:
            return asked.pop().result()
        finally:
            self.under_way -= 1
