"""Tokens per second and model FLOPs utilisation (MFU): FLOPs that the model needs over what the device could do."""

import statistics
from typing import Any

import torch

from tracking.peak_memory import peak_memory_gib
from training.plan.gpus import gpu_named


def peak_tflops(configured: float | None) -> float | None:
    """The device's dense peak in bfloat16: as configured, else by the device's name, else None (and MFU is not reported)."""
    if configured is not None or not torch.cuda.is_available():
        return configured
    gpu = gpu_named(torch.cuda.get_device_name())
    return None if gpu is None else gpu.bf16


def forward_flops(config: Any, frames: int, height: int, width: int, packed: int, text: int, audio: bool) -> float:
    """Multiply-adds times two of one sample's forward through the blocks.

    Args:
        config: the transformer's.
        frames, height, width: of the latents.
        packed: reference and motion tokens.
        text: text tokens.
        audio: whether audio attention runs.
    """
    dim = config.num_attention_heads * config.attention_head_dim
    video = frames * (height // 2) * (width // 2)
    n = video + packed
    block = 8 * n * dim**2 + 4 * n**2 * dim  # self-attention
    block += 4 * n * dim**2 + 4 * text * dim**2 + 4 * n * text * dim  # text cross-attention
    block += 4 * n * dim * config.ffn_dim
    heard = config.num_layers if config.audio_blocks is None else len(config.audio_blocks)
    listening = 4 * video * dim**2 + 4 * 4 * frames * dim**2 + 4 * video * 4 * dim
    return config.num_layers * block + (heard * listening if audio else 0)


def batch_flops(config: Any, batch: Any) -> tuple[int, float]:
    """Tokens and forward FLOPs of a rank's batch, packed tokens counted where the model is given them.

    Asks for names and shapes alone: `batch.conditions()` would draw the heatmaps, gigabytes at Wan2.1's sizes.
    """
    samples, _, frames, height, width = batch.latents.shape
    grid = (height // 2) * (width // 2)
    packed = sum(getattr(batch, name).shape[2] * grid for name in ("reference", "motion") if name in batch.given)
    flops = forward_flops(config, frames, height, width, packed, batch.text.shape[1], "audio" in batch.given)
    return samples * (frames * grid + packed), samples * flops


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
