"""What frozen encoders made of the same input before: kept by content, up to a number of bytes, the longest unused going first."""

import hashlib
import itertools
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

BYTES = 128 * 2**20  # text of UMT5-XXL takes 8 MiB a prompt, a segment of wav2vec 2.0 large about as much


class EncodingCache:
    """Encodings by encoder and content. One that was replaced, moved, cast or trained on begins anew.

    Weights that are written behind autograd's back (through `.data`) are not noticed: call `clear`.
    """

    def __init__(self, limit: int = BYTES):
        """`limit`: bytes of all encodings together; 0 keeps nothing."""
        self.limit, self.bytes = limit, 0
        self._kept: OrderedDict[tuple[int, str], Tensor] = OrderedDict()
        self._numbers: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
        self._count = itertools.count()

    def get(
        self,
        encoder: nn.Module,
        content: Tensor | tuple[object, ...],
        settings: tuple[object, ...],
        encode: Callable[[], Tensor],
    ) -> Tensor:
        """The encoding, made by `encode` where it is not there. Callers must not write into it.

        Args:
            encoder: what makes it.
            content: what is encoded: a tensor, or values whose `repr` tells them apart.
            settings: everything else that decides the result.
            encode: makes it.
        """
        key = self._number(encoder), _digest(state_of(encoder), content, settings)
        found = self._kept.pop(key, None)
        if found is None:
            found = encode()
            self.bytes += found.nbytes
        self._kept[key] = found
        while self.bytes > self.limit:
            self.bytes -= self._kept.popitem(last=False)[1].nbytes
        return found

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.bytes = 0

    def _number(self, encoder: nn.Module) -> int:
        if encoder not in self._numbers:
            self._numbers[encoder] = next(self._count)
        return self._numbers[encoder]


def state_of(encoder: nn.Module) -> tuple[object, ...]:
    """What changes with every in-place write of an optimiser or `load_state_dict`, and with another device or dtype."""
    parameters = list(encoder.parameters())
    where = {(p.device, p.dtype) for p in parameters}
    return sum(p._version for p in parameters if not p.is_inference()), len(parameters), *sorted(map(str, where))


def _digest(state: tuple[object, ...], content: Tensor | tuple[object, ...], settings: tuple[object, ...]) -> str:
    seen = hashlib.sha256(repr((state, settings)).encode())
    if isinstance(content, Tensor):
        seen.update(repr((tuple(content.shape), content.dtype)).encode())
        seen.update(content.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    else:
        seen.update(repr(content).encode())
    return seen.hexdigest()
