"""What generating costs: seconds of the transformer and of the decoder, passes through the transformer, memory."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psutil
import torch
from torch import nn

if TYPE_CHECKING:
    import pandas as pd

GIB = 2**30
SAMPLE_SECONDS = 0.02  # between two looks at the process's memory, where the device does not keep its own peak


@dataclass(frozen=True)
class Cost:
    """One call of a pipeline.

    Attributes:
        seconds: of the whole call.
        transformer_seconds, decode_seconds: in the transformer, and in the autoencoder's decoder.
        passes: forward passes of the transformer; guidance makes two or three of a sampling step.
        memory_gib: held before the call, models included: allocated on the device, on a CPU the process's resident set.
        peak_memory_gib: the most during it.
    """

    seconds: float
    transformer_seconds: float
    decode_seconds: float
    passes: int
    memory_gib: float
    peak_memory_gib: float

    def as_dict(self) -> dict[str, float]:
        """For a file."""
        return asdict(self)


# Metric of the score table -> unit. "Per second" is per second of generated video.
COSTS = {
    "generation_seconds": "s/s",
    "transformer_seconds": "s/s",
    "decode_seconds": "s/s",
    "transformer_passes": "1",
    "peak_memory": "GiB",
    "memory_per_second": "GiB/s",
}


def without_costs(scores: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of a score table that say how good the videos are, not what they cost."""
    return scores[~scores["metric"].isin([*COSTS, "seconds_per_clip"])]


def cost_of(calls: Sequence[Cost], video_seconds: Sequence[float]) -> dict[str, float]:
    """`COSTS` of several calls together: seconds and memory per second of video, the most memory of any call.

    Args:
        calls: one per batch.
        video_seconds: seconds of video that each made.
    """
    whole = sum(video_seconds)
    return {
        "generation_seconds": sum(call.seconds for call in calls) / whole,
        "transformer_seconds": sum(call.transformer_seconds for call in calls) / whole,
        "decode_seconds": sum(call.decode_seconds for call in calls) / whole,
        "transformer_passes": sum(call.passes for call in calls) / len(calls),
        "peak_memory": max(call.peak_memory_gib for call in calls),
        "memory_per_second": max(
            (c.peak_memory_gib - c.memory_gib) / s for c, s in zip(calls, video_seconds, strict=True)
        ),
    }


class CostMeter:
    """Measures the block: `with CostMeter(pipeline) as meter: pipeline(...)`, then `meter.cost`."""

    def __init__(self, pipeline: Any):
        self._transformer: nn.Module = pipeline.transformer
        self._vae = pipeline.vae
        self._device = next((p.device for p in self._transformer.parameters()), torch.device("cpu"))
        self._seconds = {"transformer": 0.0, "decode": 0.0}
        self._passes, self._began = 0, 0.0

    def __enter__(self) -> Self:
        self._hooks = [
            self._transformer.register_forward_pre_hook(lambda *_: self._start()),
            self._transformer.register_forward_hook(lambda *_: self._pass()),
        ]
        self._decode: Callable[..., Any] = self._vae.decode
        self._vae.decode = self._timed_decode
        self._memory = _DeviceMemory(self._device) if self._device.type == "cuda" else _ProcessMemory()
        self._call = self._now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = self._now() - self._call
        before, peak = self._memory.stop()
        for hook in self._hooks:
            hook.remove()
        self._vae.decode = self._decode
        self.cost = Cost(
            seconds, self._seconds["transformer"], self._seconds["decode"], self._passes, before / GIB, peak / GIB
        )

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    def _start(self) -> None:
        self._began = self._now()

    def _pass(self) -> None:
        self._seconds["transformer"] += self._now() - self._began
        self._passes += 1

    def _timed_decode(self, *inputs: Any, **named: Any) -> Any:
        began = self._now()
        made = self._decode(*inputs, **named)
        self._seconds["decode"] += self._now() - began
        return made


class _DeviceMemory:
    def __init__(self, device: torch.device):
        self._device = device
        torch.cuda.reset_peak_memory_stats(device)
        self._before = torch.cuda.memory_allocated(device)

    def stop(self) -> tuple[int, int]:
        """Bytes before, and the most since."""
        return self._before, torch.cuda.max_memory_allocated(self._device)


class _ProcessMemory:
    def __init__(self) -> None:
        self._process = psutil.Process()
        self._before = self._peak = self._process.memory_info().rss
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self._peak = max(self._peak, self._process.memory_info().rss)

    def stop(self) -> tuple[int, int]:
        """Bytes before, and the most since."""
        self._ended.set()
        self._thread.join()
        return self._before, max(self._peak, self._process.memory_info().rss)
