"""Keys of a server's clients: a file that holds their digests, what each may do, and how much."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from media import write_atomically
from serving.http.private_files import read_private
from serving.http.request_limits import VisitorError

REMEDY = "`omnihuman key NAME --keys FILE` writes one"
PREFIX = "omni-"  # by which scanners of source code can tell a key that was left lying about
BYTES = 24  # 192 bits of chance: nobody guesses it, so that one SHA-256 of it is enough
NAME = r"^[\w.@-]{1,64}$"


class Right(StrEnum):
    """What a key may be for."""

    VIDEOS = "videos"  # ask for videos, and see one's own
    METRICS = "metrics"  # /metrics
    LOG = "log"  # /log, what was served to everybody


class ClientKey(BaseModel):
    """One client. A limit that is None is the server's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    rights: frozenset[Right] = frozenset({Right.VIDEOS})
    waiting: Annotated[int | None, Field(ge=1)] = None  # jobs at a time
    per_hour: Annotated[int | None, Field(ge=1)] = None  # jobs asked for
    seconds: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None  # of one video


Keys = Mapping[str, ClientKey]


def read_keys(path: Path) -> dict[str, ClientKey]:
    """Clients by name, out of a YAML file of `ClientKey`s that its owner alone may read.

    Raises:
        VisitorError: no such file, one that others can read, one that holds something else or nobody, a key that stands twice.
    """
    keys = _read(path)
    if not keys:
        raise VisitorError(f"--keys {path} holds none; {REMEDY}")
    return keys


def add_key(path: Path, name: str, rights: frozenset[Right], **limits: float | int | None) -> str:
    """Make a key for `name`, write its digest into the file (a new one is its owner's alone), and return the key: it is nowhere else.

    Raises:
        VisitorError: as `read_keys`, or the name is taken.
    """
    keys = _read(path) if path.exists() else {}
    if name in keys:
        raise VisitorError(
            f"--keys {path} has a key of {name} already; take its lines out first, or choose another name"
        )
    key = PREFIX + secrets.token_urlsafe(BYTES)
    try:
        keys[name] = ClientKey(sha256=digest(key), rights=rights, **limits)  # type: ignore[arg-type]
    except ValidationError as error:
        raise VisitorError(f"--keys {path}: {_first(error)}") from error
    _check_names(path, keys)
    rows = {name: one.model_dump(mode="json", exclude_none=True) for name, one in keys.items()}
    write_atomically(path, yaml.safe_dump(rows, sort_keys=False).encode(), mode=0o600)
    return key


def digest(key: str) -> str:
    """What the file holds of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def _read(path: Path) -> dict[str, ClientKey]:
    text = read_private("--keys", path, REMEDY)
    try:
        rows = yaml.safe_load(text) or {}
        keys = {name: ClientKey(**row) for name, row in rows.items()}
    except ValidationError as error:
        raise VisitorError(f"--keys {path}: {_first(error)}; {REMEDY}") from error
    except (yaml.YAMLError, AttributeError, TypeError) as error:
        raise VisitorError(
            f"--keys {path} is not a YAML file of names with sha256, rights and limits; {REMEDY}"
        ) from error
    _check_names(path, keys)
    return keys


def _check_names(path: Path, keys: Keys) -> None:
    for name in keys:
        if not isinstance(name, str) or not re.match(NAME, name):
            raise VisitorError(f"--keys {path}: {name!r} is no name; take letters, digits and ._@- up to 64")
    digests = [key.sha256 for key in keys.values()]
    twice = [name for name, key in keys.items() if digests.count(key.sha256) > 1]
    if twice:
        raise VisitorError(
            f"--keys {path}: {', '.join(twice)} have the same key, and would see each other's videos; {REMEDY}"
        )


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(map(str, found['loc']))}: {found['msg']}"
