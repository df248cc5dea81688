"""Objects below one address, by name: read whole or by range, asked for again where the store is busy, and what is wrong said by name."""

import errno
import time
from collections.abc import Callable
from typing import Any, TypeVar

import fsspec

from media.user_error import UserError

PATIENCE = 180.0  # seconds that a store may be away or too busy
FOR_GOOD = {errno.EINVAL, errno.EPERM, errno.ENOSYS}  # asked again it would say the same
FIRST_WAIT, LONGEST_WAIT = 0.5, 20.0

Value = TypeVar("Value")


class StoreError(UserError):
    """A store that cannot be used; the message names the address and the remedy."""


class ObjectStore:
    """What lies below `url`. Threads may share it.

    Attributes:
        url: of any file system that fsspec knows (`s3://bucket/team`, a folder).
    """

    def __init__(self, url: str, patience: float = PATIENCE, options: dict[str, Any] | None = None):
        """
        Raises:
            StoreError: fsspec does not know such an address, or a package for it is missing.
        """
        self.url, self._patience = url.rstrip("/"), patience
        try:
            self._filesystem, self._root = fsspec.core.url_to_fs(url, **(options or {}))
        except (ImportError, ValueError) as error:
            raise StoreError(f"{url} cannot be opened: {error}; s3:// needs the extra `s3`") from error

    def whole(self, name: str) -> bytes:
        """All of an object."""
        return self._patiently(name, lambda path: self._filesystem.cat_file(path))

    def range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes `start` to `stop - 1`, fewer where the object ends before."""
        return self._patiently(name, lambda path: self._filesystem.cat_file(path, start=start, end=stop))

    def size(self, name: str) -> int:
        """Bytes of an object."""
        return int(self._patiently(name, lambda path: self._filesystem.info(path)["size"]))

    def put(self, name: str, data: bytes) -> None:
        """Write an object, which appears whole."""
        self._patiently(name, lambda path: self._filesystem.pipe_file(path, data), writing=True)

    def _patiently(self, name: str, ask: Callable[[str], Value], writing: bool = False) -> Value:
        """Ask until the store answers.

        Raises:
            FileNotFoundError: there is no such object.
            StoreError: the store refuses, or gave no answer for as long as is waited.
        """
        path, wait, began = f"{self._root}/{name}", FIRST_WAIT, time.monotonic()
        while True:
            try:
                return ask(path)
            except FileNotFoundError:
                if writing:
                    raise StoreError(
                        f"{self.url} takes nothing: there is no such bucket; make it, or correct the address"
                    ) from None
                raise
            except PermissionError as error:
                said = str(error) if writing else self._reason(path, error)
                raise StoreError(_refused(f"{self.url}/{name}", said, writing)) from error
            except (TimeoutError, OSError) as error:
                if getattr(error, "errno", None) in FOR_GOOD:
                    raise StoreError(
                        f"{self.url}/{name} cannot be used: {error}; check the address and the store"
                    ) from error
                if time.monotonic() - began + wait > self._patience:
                    raise StoreError(
                        f"{self.url}/{name} could not be {'written' if writing else 'read'} within {self._patience:.0f} s "
                        f"({type(error).__name__}: {error}); the same command goes on when the store answers again"
                    ) from error
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _reason(self, path: str, error: PermissionError) -> str:
        """What a store says of a refusal; the answer to a question for a size has no text."""
        try:
            self._filesystem.cat_file(path, start=0, end=1)
        except PermissionError as again:
            return str(again)
        except OSError:
            return str(error)
        return str(error)


def _refused(address: str, said: str, writing: bool) -> str:
    if "expired" in said.lower():
        return f"the credentials for {address} have expired ({said}); renew them (`aws sso login`, a new token) and run it again"
    what = "writing" if writing else "reading"
    return f"{what} {address} is not allowed ({said}); give these credentials the right to, or name others (AWS_PROFILE, AWS_ACCESS_KEY_ID)"
