"""Tokens per second and model FLOPs utilisation (MFU): FLOPs that the model needs over what the device could do."""

import statistics
from typing import Any

import torch

from omnihuman.bases.registry import DEFAULT
from tracking.peak_memory import peak_memory_gib
from training.plan.gpus import gpu_named

PACKED = ("reference", "motion")  # latents whose tokens stand beside the video's


def peak_tflops(configured: float | None) -> float | None:
    """The device's dense peak in bfloat16: as configured, else by the device's name, else None (and MFU is not reported)."""
    if configured is not None or not torch.cuda.is_available():
        return configured
    gpu = gpu_named(torch.cuda.get_device_name())
    return None if gpu is None else gpu.bf16


def batch_tokens(batch: Any) -> int:
    """Tokens of a rank's batch, packed ones counted where the model is given them.

    Asks for names and shapes alone: `batch.conditions()` would draw the heatmaps, gigabytes at Wan2.1's sizes.
    """
    samples, _, frames, height, width = batch.latents.shape
    packed = sum(getattr(batch, name).shape[2] for name in PACKED if name in batch.given)
    return samples * (frames + packed) * (height // 2) * (width // 2)


def batch_flops(config: Any, batch: Any, architecture: str = DEFAULT) -> float:
    """Of a rank's batch in one forward pass of the transformer of `config`, which is on that base; the first of its shape takes a second to be traced."""
    from training.plan.forward import forward_flops

    samples, *latents = batch.latents.shape
    packed = {name: getattr(batch, name).shape[2] for name in PACKED}
    return samples * forward_flops(config, tuple(latents), batch.text.shape[1], packed, batch.given, architecture)


class Throughput:
    """Collects (seconds, tokens, FLOPs) per step; backward counts as two forwards (recomputation is not counted)."""

    def __init__(self, peak: float | None, devices: int):
        self.peak, self.devices = peak, devices
        self.tokens_per_second: list[float] = []

    def row(self, seconds: float, tokens: int, flops: float | None) -> dict[str, float]:
        """The step's metrics, over all ranks; memory in GiB is this process's peak.

        Args:
            seconds: that the step took.
            tokens: of all samples; 0 where the training has none to count.
            flops: of one forward; None where the step is more than a forward and its backward.
        """
        row = {"seconds_per_step": seconds, "peak_memory_gib": peak_memory()}
        if tokens:
            self.tokens_per_second.append(tokens / seconds)
            row = {"tokens_per_second": tokens / seconds, **row}
        if self.peak is not None and flops is not None:
            row["mfu"] = 3 * flops / seconds / (self.peak * 1e12 * self.devices)
        return row

    def median(self) -> float | None:
        """Tokens per second of the typical step, or None where none was counted."""
        return statistics.median(self.tokens_per_second) if self.tokens_per_second else None


def peak_memory() -> float:
    """GiB: the device's allocator where there is one, else this process's resident set."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return peak_memory_gib()
