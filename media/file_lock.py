"""One process at a time: a lock on a file that the kernel takes back however its holder ends."""

from pathlib import Path

from filelock import BaseFileLock, FileLock


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
