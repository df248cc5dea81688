"""Weights that come inside a Python package: found without importing the package, and refused where they are not the known ones."""

from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import TypeVar

from networks.weights import Network, NetworkError, identify

T = TypeVar("T")
REMEDY = "run `make people-and-text`"


class NotInstalled(NetworkError):
    """A packaged network whose package is not there."""


def packaged_weights(module: str, member: str, architecture: str, also: tuple[str, ...] = ()) -> Path:
    """The path of a file inside an installed package.

    Args:
        module: the package's name when imported; importing it may ask for libraries that are not there.
        member: the file inside it.
        architecture: what the file holds, for the message.
        also: modules that running it needs.

    Raises:
        NotInstalled: a package is missing.
    """
    package = util.find_spec(module)
    missing = [
        name for name, spec in ((module, package), *((name, util.find_spec(name)) for name in also)) if spec is None
    ]
    if missing or package is None or package.origin is None:
        raise NotInstalled(f"{' and '.join(missing)} not installed, for {architecture}; {REMEDY}")
    return Path(package.origin).parent / member


def known_weights(path: Path, architecture: str, sha256: str, protocol: str) -> Network:
    """Name the network of a packaged file.

    Raises:
        NetworkError: there is no such file, or it holds other weights than are known.
    """
    network = identify(path, architecture, protocol, REMEDY)
    if network.sha256 != sha256:
        raise NetworkError(
            f"{path} holds other weights than {architecture} ({network.sha256[:12]}, not {sha256[:12]}); {REMEDY}"
        )
    return network


def if_installed(network: Callable[[], T]) -> T | None:
    """What `network` makes; None where its package is not installed, and then `measurable` says how to get it.

    Raises:
        NetworkError: it is installed and holds other weights.
    """
    try:
        return network()
    except NotInstalled:
        return None


def version(distribution: str) -> str:
    """Of an installed distribution."""
    return metadata.version(distribution)
