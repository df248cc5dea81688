"""An inbox that lies elsewhere: any fsspec URL (`s3://bucket/clips`, `memory://`, `file:///mnt/clips`), brought here.

New and changed objects are downloaded into a local folder, each appearing whole, sidecars before their clips; what was
brought is remembered by its version, so a second call asks for one listing and downloads nothing.
"""

import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from curation.errors import CurationError
from media import whole_file, write_atomically
from media.once_a_day import OnceADay

RECORD = ".remote.json"
NAME_BYTES = 240  # most file systems allow 255, and a sidecar adds five

_log = logging.getLogger(__name__)
_log.addFilter(OnceADay())  # the sensor looks every half minute


@dataclass(frozen=True)
class Fetched:
    """`paths` brought now; `refused` says for each object that was not, why."""

    paths: tuple[Path, ...]
    refused: dict[str, str]


def is_remote(place: str) -> bool:
    """Whether it is an fsspec URL and no path."""
    return re.match(r"[a-z][a-z0-9+.-]*://", place) is not None


def local_name(url: str) -> str:
    """The folder inside the inbox for what comes from there: its last part, and a piece of the whole's hash."""
    last = re.sub(r"[^A-Za-z0-9._-]", "-", url.rstrip("/").rpartition("/")[2]).lstrip(".") or "remote"
    return f"{last}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def fetch_remote(url: str, folder: Path, storage_options: dict[str, Any] | None = None) -> Fetched:
    """Bring every new or changed object under `url` into `folder`.

    Args:
        url: of any file system that fsspec knows; s3 needs the extra `s3`.
        folder: local; its sub-folders are those of the URL.
        storage_options: for the file system: keys, endpoint. Without them its own environment variables count.

    Raises:
        CurationError: the file system is not known, not installed, or cannot be listed.
    """
    filesystem, root = _open(url, storage_options or {})
    try:
        filesystem.invalidate_cache()  # a sensor asks again and again in one process
        listing = filesystem.find(root, detail=True)
    except Exception as error:  # each file system has errors of its own
        raise CurationError(
            f"{url} cannot be listed ({error}); check the address, your keys and the network"
        ) from error
    record_path = folder / RECORD
    record: dict[str, str] = json.loads(record_path.read_text()) if record_path.is_file() else {}
    brought, refused = [], {}
    # Sidecars first: a clip must never be seen without its caption.
    for remote, status in sorted(listing.items(), key=lambda entry: (not entry[0].endswith(".json"), entry[0])):
        name = remote.removeprefix(root).lstrip("/") or PurePosixPath(remote).name
        version = _version(status)
        if record.get(name) == version or status.get("type", "file") != "file":
            continue
        local = _local_path(folder, name)
        if local is None:
            refused[name] = "its name leads out of the folder"
            continue
        problem = _download(filesystem, remote, local)
        if problem:
            refused[name] = problem
            continue
        record[name] = version
        brought.append(local)
    if brought:
        write_atomically(record_path, json.dumps(record, indent=1, sort_keys=True).encode())
    for name, why in refused.items():
        _log.warning("%s of %s is not ingested: %s", name, url, why)
    return Fetched(tuple(brought), refused)


def _open(url: str, storage_options: dict[str, Any]):
    import fsspec

    try:
        return fsspec.core.url_to_fs(url, **storage_options)
    except ImportError as error:
        extra = "s3" if url.startswith("s3") else url.partition(":")[0]
        raise CurationError(
            f"{url} needs a package that is not installed ({error}); `pip install 'omnihuman-pipeline[{extra}]'`"
        ) from error
    except ValueError as error:
        raise CurationError(
            f"{url} is no address that fsspec knows ({error}); give s3://, file:// or a folder"
        ) from error


def _version(status: dict[str, Any]) -> str:
    """What changes when the object does: its tag or time where the file system has them, and its size."""
    marks = [str(status.get(key)) for key in ("ETag", "etag", "LastModified", "mtime", "created") if status.get(key)]
    return hashlib.sha256("\0".join([str(status.get("size")), *marks]).encode()).hexdigest()[:32]


def _local_path(folder: Path, name: str) -> Path | None:
    """Where an object goes; None for one that would lie outside of the folder. Long names end in a piece of their hash."""
    parts = PurePosixPath(name).parts
    if not parts or any(part in ("..", "/") or "\0" in part for part in parts):
        return None
    return folder.joinpath(*[_short(part) for part in parts])


def _short(part: str) -> str:
    data = os.fsencode(part)
    if len(data) <= NAME_BYTES:
        return part
    suffix = "".join(PurePosixPath(part).suffixes[-2:])[-20:]
    kept = data[: NAME_BYTES - 10 - len(os.fsencode(suffix))].decode("utf-8", "ignore")
    return f"{kept}-{hashlib.sha256(data).hexdigest()[:8]}{suffix}"


def _download(filesystem: Any, remote: str, local: Path) -> str:
    """Empty, or what went wrong."""
    try:
        local.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(local) as temporary:
            filesystem.get_file(remote, str(temporary))
    except Exception as error:  # each file system has errors of its own; the other objects are brought all the same
        return f"cannot be downloaded ({type(error).__name__}: {error})"
    return ""
