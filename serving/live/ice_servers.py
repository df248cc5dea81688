"""What the operator says of WebRTC's ways through networks, checked before anything is loaded."""

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

from serving.http.private_files import read_private
from serving.http.request_limits import VisitorError

URL = re.compile(r"(stun|turns?):([^?:@/\s]+|\[[0-9a-fA-F:]+\])(:\d{1,5})?(\?transport=(udp|tcp))?")


def check_address(said: str) -> str:
    """An IP address, or "".

    Raises:
        VisitorError: anything else.
    """
    try:
        return said and str(ipaddress.ip_address(said))
    except ValueError:
        raise VisitorError(f"--live-address {said} is no IP address of this machine") from None


def check_ice_servers(urls: Sequence[str]) -> tuple[str, ...]:
    """URLs as RFC 7064 and RFC 7065 have them.

    Raises:
        VisitorError: something else, or two of a kind, of which only the first would be asked.
    """
    kinds: list[str] = []
    for url in urls:
        found = URL.fullmatch(url)
        if found is None or (found[1] == "stun" and found[4]):
            raise VisitorError(
                f"--live-ice-server {url} is neither stun:HOST:PORT nor turn:HOST:PORT nor turns:HOST:PORT"
            )
        kinds.append(found[1].rstrip("s"))
    if len(set(kinds)) < len(kinds):
        raise VisitorError("--live-ice-server takes one STUN server and one TURN server")
    return tuple(urls)


def read_turn_login(path: Path) -> tuple[str, str]:
    """Name and password, from a file that its owner alone may read.

    Raises:
        VisitorError: no such file, one that others can read, or one that holds something else.
    """
    remedy = f"write NAME:PASSWORD into {path}"
    name, colon, password = read_private("--live-turn-login", path, remedy).strip().partition(":")
    if not name or not colon or not password:
        raise VisitorError(f"--live-turn-login {path} holds no NAME:PASSWORD; {remedy}")
    return name, password
