"""Files of the operator's that hold keys and secrets."""

from pathlib import Path

from media.access import others_may_read
from serving.http.request_limits import VisitorError


def read_private(option: str, path: Path, remedy: str) -> str:
    """The text of a file that its owner alone may read.

    Args:
        option: that names it, for messages.
        path: of the file.
        remedy: how one is made.

    Raises:
        VisitorError: no such file, or one that others can read.
    """
    try:
        text, is_open = path.read_text(), others_may_read(path)
    except OSError as error:
        raise VisitorError(f"{option} {path}: {error.strerror}; {remedy}") from error
    if is_open:
        raise VisitorError(f"{option} {path} can be read by others than its owner; `chmod 600 {path}`")
    return text
