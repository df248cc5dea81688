"""The plain statement in a file's comment: what many programs keep, and anybody can write."""

import json
from pathlib import Path
from typing import Any

from media import MediaError


def read_comment(path: Path) -> dict[str, Any]:
    """The JSON in the comment of an exported mp4 or PNG.

    Raises:
        MediaError: `unreadable`, or `no_comment` where it says nothing of ours.
    """
    import av
    from PIL import Image

    try:
        if path.suffix == ".png":
            with Image.open(path) as image:
                text = image.info.get("comment")
        else:
            with av.open(str(path)) as container:
                text = container.metadata.get("comment")
        found = json.loads(text or "null")
    except (ValueError, OSError) as error:
        raise MediaError("unreadable", f"{path} cannot be read as mp4 or png with provenance ({error})") from error
    if not isinstance(found, dict):
        raise MediaError(
            "no_comment",
            f"{path} carries no provenance; it was not made by `omnihuman generate`, or was re-encoded since",
        )
    return found
