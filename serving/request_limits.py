"""What page and server share: who may reach them, how much one visitor may ask for, and errors in the visitor's words."""

import ipaddress
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from media import MediaError
from media.user_error import UserError
from omnihuman.errors import InputError
from profiles.conditions import FILES
from serving.generation import Request
from serving.inputs import GenerateError

# What a visitor can mend; anything else is the service's own fault.
BAD_INPUT = (GenerateError, InputError, MediaError)


class VisitorError(UserError):
    """A service that may not be started like this; the message says what to change."""


@dataclass(frozen=True)
class Limits:
    """For one visitor's request: seconds of video, bytes of everything uploaded, and how many requests may wait."""

    seconds: float = 60.0
    upload_bytes: int = 100 * 1024**2
    waiting: int = 8

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.upload_bytes < 1 or self.waiting < 1:
            raise VisitorError(
                f"limits are positive, got {self.seconds:g} s, {self.upload_bytes} bytes, {self.waiting} waiting"
            )


def check_host(host: str, expose: bool) -> None:
    """Only this machine may connect, unless that is said to be wanted.

    Raises:
        VisitorError: another address without `expose`.
    """
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local and not expose:
        raise VisitorError(
            f"--host {host} lets other machines in, and there is no password: anybody could make videos of anybody. Put a proxy that "
            "asks who it is before 127.0.0.1, or pass --expose if the network itself keeps strangers out"
        )


def in_visitor_words(error: BaseException, request: Request) -> str:
    """An error's message without this machine's paths, and with fields where the command line has options."""
    message = str(error)
    for path in (getattr(request, option) for option in FILES):
        message = message if path is None else message.replace(str(path), path.name)
    message = message.replace(f"{request.output.parent}/", "")
    message = re.sub(r"--no-([a-z-]+)", lambda found: f"{found[1].replace('-', '_')}=false", message)
    return re.sub(r"--([a-z-]+)", lambda found: found[1].replace("-", "_"), message)


def keep_upload(content: BinaryIO, name: str, folder: Path) -> Path:
    """Write an uploaded file into `folder` under its own bare name, without what could lead out of it; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    bare = re.sub(r"[^\w.-]", "_", Path(name.replace("\\", "/")).name).lstrip(".")[-80:] or "file"
    with open(folder / bare, "xb") as file:
        shutil.copyfileobj(content, file)
    return folder / bare
