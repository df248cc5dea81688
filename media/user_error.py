"""Failures that a person can mend, told apart from faults of the program: the first are one line, the others a traceback.

It stands in the lowest room because every room raises some, and it imports nothing, so that asking costs nothing.
"""

import errno
import sys
from collections.abc import Sequence

# Of the operating system, and about files: a person can make room, make the folder or give the permission.
_OF_FILES = (FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
_FULL_OR_LOCKED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class UserError(Exception):
    """A failure that a person can mend; the message says what was wrong, where, and what to do.

    A class of it may have a second base, such as ValueError, for callers who know only Python's own.
    """

    exit_code = 1


def some_of(names: Sequence[str], shown: int, separator: str = ", ") -> str:
    """The first names for a message, and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return separator.join(names[:shown]) + more


def exit_code(error: Exception) -> int:
    """Print what a person can mend as one line on stderr; returns the exit code of the command line.

    Raises:
        error: it is a fault of the program, and its traceback says where.
    """
    if not is_mendable(error):
        raise error
    print(f"error: {error}", file=sys.stderr, flush=True)
    return getattr(error, "exit_code", 1)


def is_mendable(error: BaseException) -> bool:
    """Whether it is a UserError, or an error of the operating system that names a file or a full disk."""
    if isinstance(error, OSError):
        about_a_file = isinstance(error, _OF_FILES) or error.filename is not None or error.errno in _FULL_OR_LOCKED
        return about_a_file or isinstance(error, UserError)
    return isinstance(error, UserError)
