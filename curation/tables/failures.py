"""A clip on which a step fails costs itself alone: the failure becomes a row of the quarantine, and the shard goes on."""

import logging
import re
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from av import FFmpegError

from curation.errors import CurationError
from curation.tables.quarantine import FAILED, SCHEMA, UNKNOWN, owners
from media import MediaError
from media.user_error import UserError

# So many clips, being all there are, do not fail alike each for itself.
MANY = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """What a step could not do with one clip. `reason` is a code for the table, `message` is for people, `trace` for the log."""

    clip_id: str
    reason: str
    message: str
    trace: str = ""


def failure_of(clip_id: str, doing: str, error: Exception) -> Failure:
    """What `error` means for the clip on which it was raised.

    Args:
        clip_id: the clip.
        doing: what failed, such as `the score loudness`.
        error: anything that was raised.

    Raises:
        error: it is no fault of this clip, and would meet any other as well.
        CurationError: the memory ran out, which says of a clip only when it happened.
    """
    if isinstance(error, MemoryError):
        raise CurationError(f"the memory ran out in {doing} of clip {clip_id}; free some and run it again") from error
    if not is_the_clips_own(error):
        raise error
    if isinstance(error, MediaError):
        return Failure(clip_id, FAILED + error.reason, f"{doing} of clip {clip_id}: {error}")
    name = type(error).__name__
    reason = re.sub("[^a-z0-9_]", "", name.lower())
    message = f"{doing} of clip {clip_id} fails with {name}: {error}; re-export the file, and report it with the file"
    return Failure(clip_id, FAILED + reason, message, "".join(traceback.format_exception(error)))


def is_the_clips_own(error: Exception) -> bool:
    """Whether it may be due to one clip: not what a person can mend for all of them (weights that are missing), not the disk, not
    the memory, not the accelerator."""
    if isinstance(error, (MediaError, FFmpegError)):
        return True
    accelerator = type(error).__module__.partition(".")[0] == "torch"
    return not accelerator and not isinstance(error, (UserError, OSError, MemoryError))


def ran_out_of_memory(error: Exception) -> bool:
    """Whether the accelerator's memory ran out, where fewer clips at once may do."""
    return type(error).__name__ == "OutOfMemoryError" and type(error).__module__.partition(".")[0] == "torch"


def too_large(clip_id: str, doing: str) -> Failure:
    """For a clip for which the accelerator's memory does not do, with none beside it."""
    message = f"{doing} of clip {clip_id} alone takes more memory than the accelerator has; use a larger one, or a smaller bucket"
    return Failure(clip_id, f"{FAILED}accelerator_memory", message)


def lost_clip(clip_id: str, doing: str) -> Failure:
    """For a clip on which a process ended, twice, the second time with nothing beside it."""
    message = (
        f"{doing} of clip {clip_id} ended its process twice, by a fault in a library or the memory's limit; "
        "re-export the file, and report it with the file"
    )
    return Failure(clip_id, f"{FAILED}crashes", message)


def failure_rows(failures: Sequence[Failure], clips: pd.DataFrame) -> pd.DataFrame:
    """Quarantine rows; each failure's traceback goes to the log.

    Args:
        failures: of one step on one shard.
        clips: the shard's clips; they give a row's file and hash.
    """
    own = owners(clips)
    for failure in failures:
        _log.warning("%s\n%s", failure.message, failure.trace)
    rows = [
        {**own.get(failure.clip_id, UNKNOWN), "reason": failure.reason, "message": failure.message}
        for failure in failures
    ]
    return pd.DataFrame(rows, columns=SCHEMA.names)


def refuse_if_all_fail_alike(failures: Mapping[str, Failure], clips: int, shard: str) -> None:
    """That every clip of a shard fails in one way is a fault of the step, or of the machine, and is to be seen.

    Args:
        failures: by clip.
        clips: how many the step was to do.
        shard: its name.

    Raises:
        CurationError: with the first one's message.
    """
    if len(failures) < max(clips, MANY) or len({failure.reason for failure in failures.values()}) > 1:
        return
    first = next(iter(failures.values()))
    raise CurationError(
        f"all {clips} clips of {shard} fail alike, which is no fault of theirs: {first.message}\n{first.trace}"
    )
