"""What DVC keeps in a remote, read without DVC: a folder is a JSON list of relative names and MD5 hashes, a file lies under its hash.

The layout is that of DVC 3 (`files/md5/ab/cdef...`, a folder's list under its hash with `.dir`). The list is written after the files that
it names, so that one that is there is whole; where it is not, the push was broken off.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from media.files import whole_file, write_atomically
from media.store.objects import ObjectStore, StoreError

PIECE = 16 * 2**20  # bytes asked for at a time


def object_name(md5: str) -> str:
    """Where a remote of DVC has the file, or with `.dir` the list, of a hash."""
    return f"files/md5/{md5[:2]}/{md5[2:]}"


@dataclass(frozen=True)
class RemoteFolder:
    """The folder whose list has the hash `listing` (`<md5>.dir`)."""

    store: ObjectStore
    listing: str

    @cached_property
    def files(self) -> dict[str, str]:
        """Hash by relative name.

        Raises:
            StoreError: the list is not there, or not what its hash says.
        """
        return parse_listing(
            _verified(self.store, self.listing, self.store_bytes()), f"{self.store.url}: {self.listing}"
        )

    def store_bytes(self) -> bytes:
        """The list as it lies there."""
        try:
            return self.store.whole(object_name(self.listing))
        except FileNotFoundError:
            raise StoreError(
                f"{self.store.url} has no folder {self.listing}: it was not pushed, or the push was broken off; `omnihuman push` on the machine "
                "that made it goes on"
            ) from None


def parse_listing(data: bytes, where: str) -> dict[str, str]:
    """Hash by relative name.

    Raises:
        StoreError: it is no list of DVC, or names a file outside of its folder.
    """
    try:
        found = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(data)}
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{where} is no list of a folder ({error}); push it again") from error
    for name in found:
        if name.startswith("/") or ".." in Path(name).parts:
            raise StoreError(f"{where} names {name!r}, which leads out of the folder; it is not used")
        if not re.fullmatch("[0-9a-f]{32}", found[name]):  # it becomes a path in the store and in caches
            raise StoreError(f"{where} names {found[name]!r}, which is no MD5 hash; it is not used")
    return found


def fetch_folders(store: ObjectStore, listings: Iterable[str], cache: Path) -> int:
    """Bring folders, list and files, into a cache of DVC's layout (`ab/cdef...`); returns how many files came.

    A file appears when all of it is there and its hash is right; what is there already is not asked for, so that the same call goes on
    after it was broken off.

    Raises:
        StoreError: something is not there, is not what its hash says, or the store does not answer.
    """
    brought = 0
    for listing in listings:
        folder = RemoteFolder(store, listing)
        for name, md5 in folder.files.items():
            place = cache / md5[:2] / md5[2:]
            if not place.is_file():
                _fetch_file(store, md5, place, name)
                brought += 1
        place = cache / listing[:2] / listing[2:]
        if not place.is_file():
            write_atomically(place, folder.store_bytes())
            brought += 1
    return brought


def _fetch_file(store: ObjectStore, md5: str, place: Path, name: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    place.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(place) as draft, draft.open("wb") as file:
        offset = 0
        try:
            size = store.size(object_name(md5))
            while offset < size:
                piece = store.range(object_name(md5), offset, min(offset + PIECE, size))
                if not piece:
                    break
                digest.update(piece)
                file.write(piece)
                offset += len(piece)
        except FileNotFoundError:
            raise StoreError(
                f"{store.url} lacks {name} ({md5}), which its folder's list names: a push was broken off; `omnihuman push` on the machine that "
                "made it goes on"
            ) from None
        if digest.hexdigest() != md5:
            raise StoreError(f"{name} in {store.url} is not what its hash {md5} says; push it again, it is not used")


def _verified(store: ObjectStore, listing: str, data: bytes) -> bytes:
    if hashlib.md5(data, usedforsecurity=False).hexdigest() != listing.removesuffix(".dir"):
        raise StoreError(f"the list {listing} in {store.url} is not what its hash says; push it again, it is not used")
    return data
