"""ICE on one address: aioice binds a port on every interface but loopback, and takes no choice (aiortc/aioice, issue 2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from aioice import ice

_ADDRESS: ContextVar[str | None] = ContextVar("address", default=None)
_all_addresses = ice.get_host_addresses


def _addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
    address = _ADDRESS.get()
    return _all_addresses(use_ipv4, use_ipv6) if address is None else [address]


ice.get_host_addresses = _addresses  # asks as before for whoever does not ask by `candidates_on`


@contextmanager
def candidates_on(address: str) -> Iterator[None]:
    """What gathers candidates within binds `address` alone. Check what was gathered: another aioice may ask elsewhere."""
    token = _ADDRESS.set(address)
    try:
        yield
    finally:
        _ADDRESS.reset(token)
