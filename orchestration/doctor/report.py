"""Is this machine ready for this profile?"""

from collections.abc import Iterator
from pathlib import Path

from assets.core.workspace import Workspace
from media.user_error import UserError
from orchestration.doctor.finding import Finding
from orchestration.doctor.machine_findings import machine_findings
from orchestration.doctor.store_findings import store_findings
from profiles import Profile, ProfileError, resolve_source

__all__ = ["Finding", "examine"]


def examine(workspace: Workspace) -> Iterator[Finding]:
    """Weights, then the machine (packages, programs, disk, permissions, ports, accelerator), then the stores."""
    encoders = workspace.profile.encoders
    for name, source in (
        ("autoencoder", encoders.autoencoder),
        ("text encoder", encoders.text),
        ("audio encoder", encoders.audio),
    ):
        try:
            yield Finding(name, True, resolve_source(source))
        except ProfileError as error:
            yield Finding(name, False, str(error))
    if workspace.profile.transformer.base is not None:
        yield _wan(workspace.profile)
    yield from machine_findings(workspace)
    yield from store_findings(workspace)


def _wan(profile: Profile) -> Finding:
    """Compare the base's headers with its configuration; a hub id is left alone, for looking would download it."""
    try:
        source = resolve_source(profile.transformer.base or "")
        if not Path(source).exists():
            return Finding("Wan base", True, f"{source}: a hub id, fetched when training starts")
        from omnihuman import OmniHumanTransformer3DModel
        from training.stages.model import own_configuration

        return Finding(
            "Wan base", True, str(OmniHumanTransformer3DModel.inspect_wan(source, **own_configuration(profile)))
        )
    except UserError as error:
        return Finding("Wan base", False, str(error))
