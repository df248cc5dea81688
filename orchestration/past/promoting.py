"""Promotion by hand: the gate's own checks, and a record of who overrode them and why."""

import getpass
import time

from assets.core.workspace import Workspace
from assets.kinds.promotion import STUDENT, gate_tags, judge_version, write_verdict
from media.user_error import UserError
from tracking.registry import PREVIOUS, RegistryError, get_alias, move_champion, set_version_tags


class Refused(UserError):
    """The gate refused a version; the message lists every reason."""


def promote_version(
    workspace: Workspace, version: int, override: str | None = None, dry_run: bool = False
) -> list[str]:
    """Judge a version as the asset promoted_champion does, and move alias champion to it; the old one becomes previous.

    Args:
        workspace: its registry, benchmark and profile's gate.
        version: of the student.
        override: promote although the gate refuses, for this reason, which is kept on the version with the user and the time.
        dry_run: only judge.

    Returns:
        Lines for people: each check, and what was done.

    Raises:
        Refused: checks failed and nothing overrides them.
        tracking.registry.RegistryError: no such version.
    """
    _, decision = judge_version(workspace, version, lambda done, total, note: None)
    lines = [f"{'ok    ' if check.passed else 'FAILED'}  {check.message}" for check in decision.checks]
    if dry_run:
        return [*lines, f"the gate would {'promote' if decision.promote else 'refuse'} version {version}"]
    tags = gate_tags(decision)
    if not decision.promote and override is None:
        write_verdict(workspace, version, decision, tags)
        raise Refused(
            "\n".join(
                [
                    f"the gate refuses version {version} (promote it all the same with --override REASON):",
                    *decision.reasons,
                ]
            )
        )
    if not decision.promote:
        tags |= {"gate": "overridden", "gate.override": f"{override} ({_who_and_when()})"}
    write_verdict(workspace, version, decision, tags)
    old = move_champion(workspace.tracking_uri, STUDENT, version)
    return [*lines, f"{STUDENT}@champion is version {version}" + ("" if old is None else f", was {old}")]


def roll_back(workspace: Workspace, reason: str) -> str:
    """Alias champion back to the previous champion; the one that was left is tagged with the reason, the user and the time.

    Raises:
        tracking.registry.RegistryError: there is none to go back to.
    """
    previous = get_alias(workspace.tracking_uri, STUDENT, PREVIOUS)
    if previous is None:
        raise RegistryError(
            f"{STUDENT} has no previous champion to go back to; promote a version with `omnihuman promote VERSION`"
        )
    left = move_champion(workspace.tracking_uri, STUDENT, previous.version)
    if left is not None:
        set_version_tags(workspace.tracking_uri, STUDENT, left, {"rolled_back": f"{reason} ({_who_and_when()})"})
    return f"{STUDENT}@champion is version {previous.version}, was {left}"


def _who_and_when() -> str:
    return f"{getpass.getuser()}, {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
