"""Promotion by hand: the gate's own checks, and a record of who overrode them and why."""

import getpass
import time

from assets.core.names import STUDENT, TEACHER
from assets.core.workspace import Workspace
from assets.kinds.registration.champion_pair import ChampionMove, promote_pair, roll_back_pair
from assets.kinds.registration.promotion import gate_tags, judge_version, write_verdict
from media.user_error import UserError


class Refused(UserError):
    """The gate refused a version; the message lists every reason."""


def promote_version(
    workspace: Workspace, version: int, override: str | None = None, dry_run: bool = False
) -> list[str]:
    """Judge a version as the asset promoted_champion does, and move alias champion to it and to its teacher; the old pair becomes previous.

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
    move = promote_pair(workspace.registry, version)
    was = "" if move.left is None else f", was {move.left}"
    return [*lines, f"{STUDENT}@champion is version {version}{was}", _teacher_line(move)]


def roll_back(workspace: Workspace, reason: str) -> list[str]:
    """Give alias champion back to the previous champion and its teacher; the student that is left is tagged with the reason, the user and the time.

    Returns:
        Lines for people.

    Raises:
        tracking.registry.RegistryError: there is none to go back to.
    """
    move = roll_back_pair(workspace.registry, f"{reason} ({_who_and_when()})")
    return [f"{STUDENT}@champion is version {move.champion}, was {move.left}", _teacher_line(move)]


def _teacher_line(move: ChampionMove) -> str:
    if move.teacher is not None:
        return f"{TEACHER}@champion is version {move.teacher}"
    return f"{TEACHER}@champion stands nowhere: the registry has no teacher of student {move.champion}"


def _who_and_when() -> str:
    return f"{getpass.getuser()}, {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
