"""Whether the folder that `$OMNIHUMAN_HOME` names can hold what the pipeline makes, asked before anything is made."""

import os
import tempfile
from pathlib import Path

from assets.core.workspace import HOME_VARIABLE, Workspace
from media.user_error import UserError


class HomeError(UserError):
    """A home in which no file can be made; the message names the folder, the reason and the way out."""


def check_home(workspace: Workspace) -> None:
    """Return where files can be made in the home, also in one that is not there yet; nothing is left behind.

    Raises:
        HomeError: no file can be made in one of its folders.
    """
    for folder in (workspace.root, workspace.root / "data", workspace.var):
        refusal = why_no_file(folder)
        if refusal:
            raise HomeError(
                f"the home {workspace.root} cannot be written: {refusal}; give user {os.getuid()} the right to, or name another folder by {HOME_VARIABLE}"
            )


def why_no_file(folder: Path) -> str:
    """The folder in the way and what the system says of it, where no file can be made in `folder`; empty where one can.

    Of a folder that is not there yet, the nearest one above that is there is asked.
    """
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"{folder}: {error.strerror}"
