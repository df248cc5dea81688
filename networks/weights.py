"""The files of published networks: found, hashed, and refused by name where they are something else."""

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from media import sha256_while_unchanged
from media.user_error import UserError
from media.weights import check_numbers

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Network:
    """What looked at the pixels or heard the sound.

    Attributes:
        architecture: `inception-v3-fid`, `i3d-kinetics400`, `arcface`, `dlib-face-recognition-resnet-v1`, `syncnet-v2`, `q-align`, `efficientnet-lite0-imagenet`,
            `dnsmos-p835`, or a keypoint detector's name.
        sha256: of the weights, 64 hex.
        protocol: what was done to the pixels before, in words that change when it changes.
    """

    architecture: str
    sha256: str
    protocol: str


class NetworkError(UserError, ValueError):
    """A network's file that is missing or holds something else; the message names the file and the remedy."""


def identify(path: Path, architecture: str, protocol: str, remedy: str) -> Network:
    """Name and hash of a weights file.

    Raises:
        NetworkError: there is no such file.
    """
    if not path.is_file():
        raise NetworkError(f"no file {path} for {architecture}; {remedy}")
    return Network(architecture, sha256_while_unchanged(path), protocol)


def opened(path: Path, architecture: str, remedy: str, load: Callable[[], Any]) -> Any:
    """What `load` returns.

    Raises:
        NetworkError: the file cannot be read as that network.
    """
    try:
        return load()
    except Exception as error:  # torch, onnxruntime and safetensors share no base class of errors
        why = textwrap.shorten(str(error), 300)  # torch lists every key, on lines of their own
        raise NetworkError(f"{path} does not hold {architecture} ({why}); {remedy}") from error


def read_weights(path: Path, remedy: str) -> dict[str, "Tensor"]:
    """Every tensor of a safetensors file, or of a file of torch, from which nothing but tensors is unpickled.

    Args:
        path: of the file.
        remedy: for the message.

    Raises:
        WrongWeights: numbers in eight bits.
    """
    import torch
    from safetensors.torch import load_file

    if path.suffix == ".safetensors":
        check_numbers(path, remedy)
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)
