"""Pictures of an asset's page as files below the reports: pages show them without a click, and the index of reports has them small."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assets.core.addresses import COVERS
from assets.core.steps import Picture, Png
from assets.core.workspace import Workspace
from media import in_few_colours, write_atomically

COVER_WIDTH = 960  # pixels of the column in which Dagster shows an asset's description


def keep_pictures(
    workspace: Workspace, asset: str, part: str | None, shown: Mapping[str, Any], cover: str = ""
) -> dict[str, Any]:
    """What a maker returned, with each picture put into a file that is named after its content: an earlier run's page keeps its own.

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
    small = in_few_colours(png)
    path: Path = workspace.reports / asset / f"{name}-{hashlib.sha256(small).hexdigest()[:8]}.png"
    write_atomically(path, small)
    if is_cover:
        write_atomically(workspace.reports / COVERS / f"{asset}.png", in_few_colours(png, COVER_WIDTH))
    return Picture(path)
