"""Run real code on tensors that have a shape and no bytes, and count what it would hold and compute.

torch's FakeTensorMode keeps every tensor on `meta`, while code sees a processor's tensors: autocast, attention kernels and dtypes are
chosen as on a device. A second mode sees each operation: it adds the bytes of every new storage and takes them off when the last
tensor of it is gone, as an allocator does, and asks torch's own table of formulas for the operation's FLOPs.
"""

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

BFLOAT16, TF32, FLOAT32 = "bf16", "tf32", "fp32"
# What attention is on a processor; of it torch's table knows the accelerators' names only.
_ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
_DEVICE = torch.ops.prim.device.default  # half of what a trace is asked, and nothing is computed for it
_UNTOUCHED = (torch.ops.aten.empty, torch.ops.aten.empty_like, torch.ops.aten.detach, torch.ops.aten._unsafe_view)


@dataclass(frozen=True)
class Traced:
    """What a piece of code would take.

    Attributes:
        peak: bytes at its peak, beyond what was there before.
        flops: by what matrices are multiplied in: `bf16`, `tf32`, `fp32`.
        moved: bytes that all other operations read and write, as if none of it stayed in a cache.
    """

    peak: float
    flops: Mapping[str, float] = field(default_factory=dict)
    moved: float = 0.0

    @property
    def all_flops(self) -> float:
        """In whatever precision."""
        return sum(self.flops.values())

    def times(self, count: float) -> "Traced":
        """The same `count` times one after another."""
        return Traced(self.peak, {kind: count * value for kind, value in self.flops.items()}, count * self.moved)

    def then(self, other: "Traced") -> "Traced":
        """This and after it another, which finds nothing left of it."""
        both = self.flops.keys() | other.flops.keys()
        flops = {kind: self.flops.get(kind, 0.0) + other.flops.get(kind, 0.0) for kind in both}
        return Traced(max(self.peak, other.peak), flops, self.moved + other.moved)


def at_depth(traced: Mapping[int, Traced], depth: int) -> Traced:
    """Of a network of `depth` equal blocks, from what it takes with two other numbers of them: each block adds the same.

    (A test compares it with the whole network's trace.)
    """
    (low, first), (high, second) = sorted(traced.items())

    def along(a: float, b: float) -> float:
        return a + (b - a) * (depth - low) / (high - low)

    kinds = first.flops.keys() | second.flops.keys()
    flops = {kind: along(first.flops.get(kind, 0.0), second.flops.get(kind, 0.0)) for kind in kinds}
    return Traced(along(first.peak, second.peak), flops, along(first.moved, second.moved))


def without_bytes() -> AbstractContextManager[Any]:
    """Inside it tensors are made without bytes."""
    return FakeTensorMode()


def trace(run: Callable[[], object], there_before: Iterable[nn.Module] = ()) -> Traced:
    """Run it, inside `without_bytes()`, and count.

    Gradients of weights are dropped as soon as they are whole: how many of them stay is a question of the engine (`states`).

    Args:
        run: what is counted; what it makes and returns counts until its end.
        there_before: modules whose weights and buffers do not.
    """
    counter, handles = _Counter(), []
    for module in there_before:
        counter.ignore([*module.parameters(), *module.buffers()])
        handles += [
            parameter.register_post_accumulate_grad_hook(_drop)
            for parameter in module.parameters()
            if parameter.requires_grad
        ]
    try:
        with counter:
            run()
    finally:
        for handle in handles:
            handle.remove()
    return Traced(counter.peak, dict(counter.flops), counter.moved)


def _drop(parameter: Tensor) -> None:
    parameter.grad = None


class Counting(TorchDispatchMode):
    """Live bytes of tensors, as an allocator counts them.

    Attributes:
        now, peak: bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak = 0, 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def ignore(self, tensors: Iterable[Tensor]) -> None:
        """Their bytes were there before."""
        for tensor in tensors:
            self._known.add(tensor.untyped_storage())

    def hold(self, tensor: Tensor) -> None:
        """Count its storage, once, until the last tensor of it is gone."""
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        size = storage.nbytes()
        self._known.add(storage)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._let_go, size)

    def _let_go(self, size: int) -> None:
        self.now -= size


class _Counter(Counting):
    def __init__(self) -> None:
        super().__init__()
        self.flops: Counter[str] = Counter()
        self.moved = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            # A number that nobody has computed: no check fails by it, and the first rank's part begins at it.
            return False if args[0].dtype == torch.bool else (0.0 if args[0].dtype.is_floating_point else 0)
        if func is _DEVICE and not args[0].fake_mode.in_kernel_invocation:
            return args[0].fake_device
        out = func(*args, **(kwargs or {}))
        tensors = _tensors(out)
        self._multiplied(func, args, kwargs or {}, out, tensors)
        for tensor in tensors:
            self.hold(tensor)
        return out

    def _multiplied(self, func: Any, args: Any, kwargs: Any, out: Any, tensors: list[Tensor]) -> None:
        packet = func._overloadpacket
        if packet is _ATTENTION:
            count = sdpa_flop_count(args[0].shape, args[1].shape, args[2].shape)
        elif packet is _ATTENTION_BACKWARD:
            count = sdpa_backward_flop_count(args[0].shape, args[1].shape, args[2].shape, args[3].shape)
        elif packet in flop_registry:
            count = flop_registry[packet](*args, **kwargs, out_val=out)
        else:
            self.moved += _moved(func, (args, kwargs), tensors)
            return
        self.flops[_kind(tensors[0].dtype)] += count


def _tensors(given: Any) -> list[Tensor]:
    """Tensors in what an operation takes or gives: alone, in sequences, under names."""
    if isinstance(given, Tensor):
        return [given]
    if isinstance(given, dict):
        given = given.values()
    elif not isinstance(given, (tuple, list)):
        return []
    return [tensor for part in given for tensor in _tensors(part)]


def _moved(func: Any, given: Any, made: list[Tensor]) -> float:
    """Bytes that an operation reads and writes; a view does neither, nor does a question about a tensor."""
    if not made or func.is_view or func._overloadpacket in _UNTOUCHED:
        return 0.0
    touched = (*_tensors(given), *made)
    return float(sum(min(t.numel() * t.element_size(), t.untyped_storage().nbytes()) for t in touched))


def _kind(dtype: torch.dtype) -> str:
    """How an accelerator multiplies matrices of a dtype under torch's present setting."""
    if dtype in (torch.bfloat16, torch.float16):
        return BFLOAT16
    return FLOAT32 if torch.get_float32_matmul_precision() == "highest" else TF32
