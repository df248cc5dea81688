"""Is this machine ready for this profile?"""

from collections.abc import Iterator

from assets.core.workspace import Workspace
from orchestration.doctor.finding import Finding
from orchestration.doctor.machine_findings import machine_findings
from orchestration.doctor.profile_findings import profile_findings
from orchestration.doctor.store_findings import store_findings

__all__ = ["Finding", "examine"]


def examine(workspace: Workspace) -> Iterator[Finding]:
    """What the profile names, then the machine (packages, programs, disk, permissions, ports, accelerator), then the stores."""
    yield from profile_findings(workspace)
    yield from machine_findings(workspace)
    yield from store_findings(workspace)
