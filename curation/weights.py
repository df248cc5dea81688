"""Weights that a score or detector needs: found by path or inside an installed package, and opened."""

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from curation.errors import CurationError
from media import sha256_while_unchanged

Network = TypeVar("Network")


def weights_file(source: str, key: str, remedy: str) -> Path:
    """The file that `source` names: a path, or `package:NAME/FILE` inside an installed package.

    Args:
        source: as it stands in the profile.
        key: the profile key, for the message.
        remedy: what to do where it is missing.

    Raises:
        CurationError: there is no such file; the message names the key, the file and the remedy.
    """
    scheme, _, rest = source.partition(":")
    path = Path(source)
    if scheme == "package":
        package, _, name = rest.partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise CurationError(f"{key} is {source!r} and package {package} is not installed; {remedy}")
        path = Path(next(iter(spec.submodule_search_locations))) / name
    if not path.is_file():
        raise CurationError(f"{key} is {source!r} and there is no file {path}; {remedy}")
    return path


def weights_version(path: Path) -> str:
    """12 hex of the file's sha256; it enters the key of everything that the weights compute."""
    return sha256_while_unchanged(path)[:12]


def kept(load: Callable[..., Network], networks: int = 1) -> Callable[..., Network]:
    """`load` as a function of a path, the version of what lies there, and whatever else it is told, such as a device: it loads once, and again
    when the files changed.

    Args:
        load: makes a network of a path and what else it is told.
        networks: how many stay in memory; the one used longest ago goes.
    """

    @lru_cache(networks)
    def network(path: str, version: str, *told: str) -> Network:
        return load(path, *told)

    return network


def onnx_session(path: Path | str) -> Any:
    """An onnxruntime session on one CPU thread: clips are scored in processes of their own.

    Raises:
        CurationError: the file is no ONNX model that this onnxruntime reads.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a family of its own, without a common base
        raise CurationError(f"{path} cannot be opened as an ONNX model ({error}); download it again") from error
