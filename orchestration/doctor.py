"""Is this machine ready for this profile?"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from assets.workspace import Workspace
from profiles import Profile, ProfileError, resolve_source

NEEDED_GIB = 5.0


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, and what was found or should be done."""

    name: str
    ok: bool
    message: str


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Profile, weights, disk, compiler."""
    encoders = workspace.profile.encoders
    for name, source in (("autoencoder", encoders.autoencoder), ("text encoder", encoders.text), ("audio encoder", encoders.audio)):
        try:
            yield Finding(name, True, resolve_source(source))
        except ProfileError as error:
            yield Finding(name, False, str(error))
    if workspace.profile.transformer.base is not None:
        yield _wan(workspace.profile)
    free = shutil.disk_usage(workspace.root).free / 2**30
    yield Finding("disk", free >= NEEDED_GIB, f"{free:.1f} GiB free at {workspace.root}; {NEEDED_GIB:.0f} are needed")
    for program in ("g++", "ninja"):
        path = shutil.which(program)
        yield Finding(program, path is not None, path or f"not found; DeepSpeed compiles one small operator with it: install {program}")


def _wan(profile: Profile) -> Finding:
    """Compare the base's headers with its configuration; a hub id is left alone, for looking would download it."""
    try:
        source = resolve_source(profile.transformer.base or "")
        if not Path(source).exists():
            return Finding("Wan base", True, f"{source}: a hub id, fetched when training starts")
        from omnihuman import OmniHumanTransformer3DModel
        from training.model import own_configuration

        return Finding("Wan base", True, str(OmniHumanTransformer3DModel.inspect_wan(source, **own_configuration(profile))))
    except (ProfileError, FileNotFoundError, ValueError) as error:
        return Finding("Wan base", False, str(error))
