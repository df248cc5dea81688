"""What is known of GPUs: memory, dense peaks, and what an hour of one costs."""

import re
from dataclasses import dataclass, replace

from media.user_error import UserError

GIB = 2**30


class UnknownGpu(UserError):
    """A `--gpus` that is not NUMBERxKIND; the message lists the kinds."""

    exit_code = 2


@dataclass(frozen=True)
class Gpu:
    """One kind.

    Attributes:
        name: as `--gpus` takes it.
        device: how the driver's name of it begins.
        memory: GiB that a process sees (`torch.cuda.get_device_properties`).
        bf16, tf32, fp32: dense peaks in TFLOP/s, from the makers' data sheets, without sparsity, summed in float32.
        price: US dollars an hour.
    """

    name: str
    device: str
    memory: float
    bf16: float
    tf32: float
    fp32: float
    price: float | None = None


# Peaks: NVIDIA's data sheets of H100 (2023), H200 (2024), A100 (2021), L40S (2023), the Ada GPU architecture paper (RTX 4090) and AMD's
# of MI300X (2023). Prices: on demand, of providers that let GPUs alone, 2026, the middle of what mercatus-ai.com/blog/cloud-gpu-pricing
# (H100, H200, A100) and gputracker.dev (L40S, RTX 4090) list, rounded; hyperscalers ask up to twice as much. `--price` takes yours.
GPUS = (
    Gpu("H100", "NVIDIA H100", 79.2, 989.4, 494.7, 66.9, 3.00),
    Gpu("H200", "NVIDIA H200", 139.8, 989.4, 494.7, 66.9, 4.00),
    Gpu("A100-80", "NVIDIA A100", 79.2, 312.0, 156.0, 19.5, 1.30),
    Gpu("A100-40", "NVIDIA A100-SXM4-40GB", 39.4, 312.0, 156.0, 19.5, 1.10),
    Gpu("L40S", "NVIDIA L40S", 44.4, 362.0, 183.0, 91.6, 0.90),
    Gpu("RTX4090", "NVIDIA GeForce RTX 4090", 23.6, 165.2, 82.6, 82.6, 0.40),
    Gpu("H100-PCIe", "NVIDIA H100 PCIe", 79.2, 756.0, 378.0, 51.0),
    Gpu("H100-NVL", "NVIDIA H100 NVL", 93.1, 835.0, 417.5, 60.0),
    Gpu("B200", "NVIDIA B200", 178.0, 2250.0, 1100.0, 75.0),
    Gpu("MI300X", "AMD Instinct MI300X", 191.7, 1307.4, 653.7, 163.4),
)


@dataclass(frozen=True)
class Cluster:
    """So many GPUs of one kind, `per_node` in a node; nodes are filled."""

    gpu: Gpu
    count: int
    per_node: int

    @property
    def nodes(self) -> int:
        """Machines."""
        return -(-self.count // self.per_node)

    def __str__(self) -> str:
        return f"{self.count}x{self.gpu.name}"


def gpu_named(device: str) -> Gpu | None:
    """The kind whose driver's name begins `device`; the longest one where several do."""
    kinds = [gpu for gpu in GPUS if device.startswith(gpu.device)]
    return max(kinds, key=lambda gpu: len(gpu.device)) if kinds else None


def here(ranks: int) -> Cluster | None:
    """The GPUs of this machine, as many as there are ranks; None where there is none."""
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    known = gpu_named(properties.name) or Gpu(properties.name, properties.name, 0.0, 1.0, 1.0, 1.0)
    return Cluster(replace(known, memory=properties.total_memory / GIB), ranks, min(ranks, torch.cuda.device_count()))


def read_cluster(text: str, price: float | None = None, per_node: int = 8) -> Cluster:
    """`8xH100` taken apart; letters' case, blanks and hyphens count for nothing.

    Args:
        text: number and kind.
        price: an hour of one GPU, instead of the table's.
        per_node: GPUs of a machine.

    Raises:
        UnknownGpu: it has not that form, or the kind is not in the table.
    """
    kinds = {_plain(gpu.name): gpu for gpu in GPUS}
    found = re.fullmatch(r"\s*(\d+)\s*[xX*]\s*(.+)", text)
    if found is None or int(found[1]) == 0 or _plain(found[2]) not in kinds:
        raise UnknownGpu(
            f"--gpus {text!r}: give a number and a kind, 8xH100 say; kinds are {', '.join(gpu.name for gpu in GPUS)}"
        )
    gpu, count = kinds[_plain(found[2])], int(found[1])
    if count > per_node and count % per_node:
        raise UnknownGpu(f"--gpus {text!r}: {count} GPUs do not fill machines of {per_node}")
    return Cluster(gpu if price is None else replace(gpu, price=price), count, min(count, per_node))


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).lower()
