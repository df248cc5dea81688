"""Pictures of an asset's page as files below the reports: pages show them without a click, and an earlier run's page keeps its own."""

import hashlib
import io
from collections.abc import Mapping
from typing import Any

from assets.core.addresses import COVERS
from assets.core.steps import Picture, Png
from assets.core.workspace import Workspace
from media import in_few_colours, write_atomically

# Pixels of what Dagster's pages leave: the column of a description, as much of its height as is shown without a click, and the
# column of a table of metadata in a window of 1600.
COVER_WIDTH, COVER_HEIGHT, SMALL_WIDTH = 860, 190, 480
LEAST_SCALE = 0.6  # a cover that would be smaller is cut off below: letters must be read


def keep_pictures(
    workspace: Workspace, asset: str, part: str | None, shown: Mapping[str, Any], cover: str = ""
) -> dict[str, Any]:
    """What a maker returned, with each picture put into files that are named after its content.

    Args:
        workspace: whose reports they go to.
        asset: that was made.
        part: its shard or study; None for the whole.
        shown: names to values.
        cover: name of the picture that the asset's page opens with.
    """
    return {
        name: _keep(workspace, asset, f"{part or 'whole'}.{name}", value.data, name == cover)
        if isinstance(value, Png)
        else value
        for name, value in shown.items()
    }


def _keep(workspace: Workspace, asset: str, name: str, png: bytes, is_cover: bool) -> Picture:
    folder, digest = workspace.reports / asset, hashlib.sha256(png).hexdigest()[:8]
    picture = Picture(folder / f"{name}-{digest}.png", folder / f"{name}-{digest}-small.png")
    write_atomically(picture.path, in_few_colours(png))
    write_atomically(picture.small, in_few_colours(png, SMALL_WIDTH))
    if is_cover:
        write_atomically(workspace.reports / COVERS / f"{asset}.png", _cover(png))
    return picture


def _cover(png: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        width, height = picture.size
        scale = min(1.0, COVER_WIDTH / width, max(LEAST_SCALE, COVER_HEIGHT / height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = picture.convert("RGB").resize(size).crop((0, 0, size[0], min(size[1], COVER_HEIGHT)))
        small.save(buffer, format="PNG")
    return in_few_colours(buffer.getvalue())
