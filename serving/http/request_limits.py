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
from serving.generation import Request
from serving.inputs import GenerateError

# What a visitor can mend; anything else is the service's own fault.
BAD_INPUT = (GenerateError, InputError, MediaError)


class VisitorError(UserError):
    """A service that may not be started like this; the message says what to change."""


class NotAllowedError(UserError):
    """What the operator of a server leaves to no visitor; the message says who may change it."""


@dataclass(frozen=True)
class Limits:
    """What one visitor may ask for.

    Attributes:
        seconds: of video.
        upload_bytes: of everything uploaded in a request.
        waiting: requests of all visitors that may wait.
        per_client: requests of one visitor that may wait, and that he may be sending at a time.
        may_drop: of `mark` and `face_check`, those that a visitor may switch off.
    """

    seconds: float = 60.0
    upload_bytes: int = 100 * 1024**2
    waiting: int = 8
    per_client: int = 4
    may_drop: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.seconds > 0 or self.upload_bytes < 1 or self.waiting < 1 or self.per_client < 1:
            raise VisitorError(
                f"limits are positive, got {self.seconds:g} s, {self.upload_bytes} bytes, {self.waiting} waiting, "
                f"{self.per_client} of one client"
            )

    def refuse_dropped(self, mark: bool, face_check: bool) -> None:
        """Keep the mark and the face check where the operator does.

        Raises:
            NotAllowedError: one of them is switched off, and is not the visitor's to switch off.
        """
        for name, kept in (("mark", mark), ("face_check", face_check)):
            if not kept and name not in self.may_drop:
                raise NotAllowedError(
                    f"{name}=false is not allowed here; whoever runs this may start it with --may-drop {name}"
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
            f"--host {host} lets other machines in, and nobody asks who they are: anybody could make videos of anybody. Put a proxy that "
            "asks who it is before 127.0.0.1, or pass --expose, with --keys or where the network itself keeps strangers out"
        )


def in_visitor_words(error: BaseException, request: Request, limits: Limits) -> str:
    """An error's message without this machine's paths, and with fields where the command line has options."""
    message = str(error)
    if "face_check" not in limits.may_drop:
        message = message.replace(", or pass --no-face-check", "")
    for path in request.files.values():
        message = message.replace(str(path), path.name)
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
