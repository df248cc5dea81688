"""One process at a time: a lock on a file that the kernel takes back however its holder ends."""

from collections.abc import Callable
from pathlib import Path

from filelock import AcquireReturnProxy, BaseFileLock, FileLock, Timeout


def file_lock(path: Path) -> BaseFileLock:
    """Give the lock on `path`, still open: `with file_lock(path):` waits for it, `.acquire(timeout=seconds)` not for ever.

    It is `flock` on the whole file, whose text is the caller's. A process that is killed leaves it free, and a process forked by
    the holder does not hold it. Where the file system has no `flock` that is an error: the library's other kind, a file that is
    there or not, would outlive a kill. Any thread may release it; two calls for one path exclude each other, in one process too.

    Raises, when it is taken:
        filelock.Timeout: another holds it, and still does after `timeout` seconds.
        RuntimeError: this very thread holds it by another call, and would wait for itself for ever.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path, thread_local=False, fallback_to_soft=False)


def take_lock(
    path: Path, refusal: Callable[[], Exception], timeout: float = 0.0, poll_interval: float = 0.05
) -> AcquireReturnProxy[BaseFileLock]:
    """Take the lock on `path`, for a `with` block or until `release()`.

    Args:
        path: as of `file_lock`.
        refusal: gives what is raised where another holds it, and still does after `timeout` seconds.
        timeout, poll_interval: seconds to wait at most, and from one try to the next.
    """
    try:
        return file_lock(path).acquire(timeout=timeout, poll_interval=poll_interval)
    except Timeout as error:
        raise refusal() from error
