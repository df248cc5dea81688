"""What was measured of single clips, on disk while a benchmark is scored: several processes share the clips, and a kill costs those under way."""

import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

from evaluation.metrics.distances.moments import Moments
from evaluation.metrics.observation.instruments import Features
from evaluation.metrics.puppet_truth import Measured, PuppetTruth
from media import write_atomically
from puppets.measure import Measurement

logger = logging.getLogger(__name__)
# What a record may be made of, beside numbers, arrays, None, and tuples and dictionaries of them.
KINDS = {kind.__name__: kind for kind in (Features, Moments, Measurement, Measured, PuppetTruth)}
# In a file's metadata: the record, with numbers of tensors where its arrays stand; the sha256 of both.
TREE, DIGEST = "record", "sha256"
ARRAY, SCALAR, TUPLE, DICT = "array", "scalar", "tuple", "dict"


class KeptRecords:
    """Records by name, one file each. Without a folder nothing is kept.

    Attributes:
        folder: of everything that is measured from the same videos with the same networks.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder

    def get(self, name: str, measure: Callable[[], Any]) -> Any:
        """What stands under `name`, to the bit; else what `measure` returns, which then stands there.

        Args:
            name: may hold slashes.
            measure: called when nothing stands, or what stands cannot be read: that is said, and it is measured again.

        Raises:
            TypeError: a record of something that a file of tensors cannot hold.
        """
        if self.folder is None:
            return measure()
        file = self.folder / f"{name}.safetensors"
        if file.is_file():
            try:
                return _read(file)
            except OSError:
                raise
            except (
                Exception
            ) as error:  # damage has many faces: no file of tensors, no record, numbers that were not written
                logger.warning("%s cannot be read (%s: %s) and is measured again", file, type(error).__name__, error)
        write_atomically(file, packed(measure()))
        return _read(file)


def _read(file: Path) -> Any:
    """The record in a file, from the file also where it was just written: the first answer is the one of every later time."""
    with safe_open(file, "np") as stored:
        told = stored.metadata() or {}
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - no mapping
    if told[DIGEST] != _digest(told[TREE], tensors):
        raise ValueError("its numbers are not those that were written")
    return _built(json.loads(told[TREE]), tensors.__getitem__)


def packed(record: Any) -> bytes:
    """A record as the bytes of a file of tensors."""
    tensors: dict[str, np.ndarray] = {}
    tree = json.dumps(_tree(record, tensors))
    return save(tensors, {TREE: tree, DIGEST: _digest(tree, tensors)})


def _digest(tree: str, tensors: dict[str, np.ndarray]) -> str:
    """Of all that a record is made of."""
    digest = hashlib.sha256(tree.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        digest.update(tensor.tobytes())
    return digest.hexdigest()


def _tree(record: Any, tensors: dict[str, np.ndarray]) -> Any:
    if isinstance(record, np.ndarray | np.generic):
        # A number keeps its precision, as an array without dimensions: sums of float32 are not sums of float64.
        name = str(len(tensors))
        tensors[name] = np.array(record, order="C")
        return {(ARRAY if isinstance(record, np.ndarray) else SCALAR): name}
    if record is None or isinstance(record, bool | int | float | str):
        return record
    if isinstance(record, tuple):
        return {TUPLE: [_tree(part, tensors) for part in record]}
    if isinstance(record, dict):
        return {DICT: {name: _tree(part, tensors) for name, part in record.items()}}
    kind = type(record).__name__
    if is_dataclass(record) and KINDS.get(kind) is type(record):
        return {kind: {field.name: _tree(getattr(record, field.name), tensors) for field in fields(record)}}
    raise TypeError(f"a record of {kind} cannot be kept; list its class in {__name__}.KINDS")


def _built(tree: Any, tensor: Callable[[str], np.ndarray]) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, inner),) = tree.items()
    if kind == ARRAY:
        return tensor(inner)
    if kind == SCALAR:
        return tensor(inner)[()]
    if kind == TUPLE:
        return tuple(_built(part, tensor) for part in inner)
    parts = {name: _built(part, tensor) for name, part in inner.items()}
    return parts if kind == DICT else KINDS[kind](**parts)
