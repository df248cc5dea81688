"""Where the training stages begin: from scratch, or from the teacher that the champion was distilled from.

The choice is a file under version control, `start.json`, that all three stages read: DVC, the demo and Dagster see a changed
choice as a changed input. It names registered versions and digests, so that a champion that moves later changes nothing.
"""

import json
from dataclasses import asdict, dataclass

from assets.core.names import CHAMPION, FROM_SCRATCH, SCRATCH, STUDENT, TEACHER
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from media import write_atomically

BY_HAND = "or begin from scratch: `omnihuman start scratch`"


@dataclass(frozen=True)
class ChampionStart:
    """The champion's teacher as a beginning.

    Attributes:
        student: the champion's version.
        teacher: version of the teacher that it was distilled from.
        weights: digest of the teacher's checkpoint, as its training recorded it.
        files: digest of the transformer in the registry.
        snapshot: digest of the snapshot that it was trained on.
        earlier: digests of those that its own beginnings were trained on, newest first.
        steps, rate_factor: of stage 3, from the profile's `continuation` when the choice was made.
    """

    student: int
    teacher: int
    weights: str
    files: str
    snapshot: str
    earlier: list[str]
    steps: int
    rate_factor: float

    def __str__(self) -> str:
        return f"{TEACHER} {self.teacher} ({STUDENT} {self.student}'s), {self.steps} steps at {self.rate_factor:g} of stage 3's rates"


def read_start(workspace: Workspace) -> ChampionStart | None:
    """Read what is chosen; None is from scratch, and so is no file.

    Raises:
        AssetError: the file is not what `omnihuman start` writes.
    """
    path = workspace.start
    if not path.is_file():
        return None
    try:
        chosen = json.loads(path.read_text())
        begin = chosen.pop("from")
        if begin == SCRATCH and not chosen:
            return None
        if begin == CHAMPION:
            return ChampionStart(**chosen)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AssetError(
            f"{path} cannot be read ({error}); write it anew with `omnihuman start scratch` or `omnihuman start champion`"
        ) from error
    raise AssetError(
        f"{path} says from {begin!r}; write it anew with `omnihuman start scratch` or `omnihuman start champion`"
    )


def write_start(workspace: Workspace, start: ChampionStart | None) -> None:
    """Write a choice as `read_start` reads it."""
    text = FROM_SCRATCH if start is None else json.dumps({"from": CHAMPION, **asdict(start)}, indent=1) + "\n"
    write_atomically(workspace.start, text.encode())
