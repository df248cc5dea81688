"""The champion: a student and the teacher that it was distilled from. Their aliases move together, or not at all.

MLflow moves one alias at a time. So the whole move is noted on the student's model before its first alias moves, and struck out after
the last: a move that was cut off is done to its end by the next promotion or rollback, before anything else.
"""

import json
from dataclasses import asdict, dataclass

from assets.core.names import STUDENT, TEACHER
from tracking.model_address import CHAMPION, PREVIOUS
from tracking.registry import Registry, RegistryError

NOTE = "champion_move"  # tag of the student's model while its champion moves
STANDING = "champion_stands"  # tag of the student's model: where the last move, of the gate or of a command, left the four aliases


@dataclass(frozen=True)
class ChampionMove:
    """Where the four aliases are to stand; None is nowhere.

    Attributes:
        champion, previous: versions of the student.
        teacher, previous_teacher: of the teacher; None where a student does not say which it was distilled from (an older registration),
            or that one is no longer in the registry.
        left: the student that was champion before.
        back: whether this is a rollback.
    """

    champion: int
    previous: int | None
    teacher: int | None
    previous_teacher: int | None
    left: int | None
    back: bool = False


@dataclass(frozen=True)
class StrayAlias:
    """An alias that stands elsewhere than the last move left it: somebody moved it by MLflow's own buttons. None is nowhere."""

    model: str
    alias: str
    left_at: int | None
    stands_at: int | None

    def __str__(self) -> str:
        where = "nowhere" if self.stands_at is None else f"at version {self.stands_at}"
        was = "nowhere" if self.left_at is None else f"at version {self.left_at}"
        return f"{self.model}@{self.alias} stands {where}, and the last move left it {was}"


def stray_aliases(registry: Registry) -> list[StrayAlias]:
    """Aliases that were moved past the gate and past `promote` and `rollback`; none while a move is under way, or before the first."""
    noted = registry.note(STUDENT, STANDING)
    if noted is None or registry.note(STUDENT, NOTE) is not None:
        return []
    stray = []
    for model, aliases in json.loads(noted).items():
        stands = registry.aliases(model)
        stray += [StrayAlias(model, a, at, stands.get(a)) for a, at in aliases.items() if stands.get(a) != at]
    return stray


def promote_pair(registry: Registry, student: int) -> ChampionMove:
    """Make a student champion, and its teacher the teacher's; the old ones become previous. Done again it changes nothing.

    Raises:
        tracking.registry.RegistryError: there is no such student; no alias has moved.
    """
    _finish_noted(registry)
    aliases = registry.aliases(STUDENT)
    left = aliases.get(CHAMPION)
    previous = aliases.get(PREVIOUS) if left in (None, student) else left
    return _finish(registry, _planned(registry, student, previous, left, back=False))


def roll_back_pair(registry: Registry, reason: str) -> ChampionMove:
    """Make the previous pair champion again, and the champion's previous; the student that is left is tagged with the reason.

    A rollback that was cut off is done to its end, and not turned round.

    Raises:
        tracking.registry.RegistryError: there is no previous champion.
    """
    move = _noted(registry)
    if move is None or not move.back:
        _finish_noted(registry)
        move = _planned_return(registry)
    if move.left is not None:
        registry.set_tags(STUDENT, move.left, {"rolled_back": reason})
    return _finish(registry, move)


def _planned_return(registry: Registry) -> ChampionMove:
    aliases = registry.aliases(STUDENT)
    if PREVIOUS not in aliases:
        raise RegistryError(
            f"{STUDENT} has no previous champion to go back to; promote a version with `omnihuman promote VERSION`"
        )
    left = aliases.get(CHAMPION)
    return _planned(registry, aliases[PREVIOUS], left, left, back=True)


def _planned(registry: Registry, champion: int, previous: int | None, left: int | None, back: bool) -> ChampionMove:
    """The move, noted; the teachers' aliases follow from the students'."""
    teacher, previous_teacher = _teacher_of(registry, champion), _teacher_of(registry, previous)
    move = ChampionMove(champion, previous, teacher, previous_teacher, left, back)
    registry.set_note(STUDENT, NOTE, json.dumps(asdict(move)))
    return move


def _noted(registry: Registry) -> ChampionMove | None:
    """The move that was cut off, if one was; one that leads to a version that was deleted since is struck out."""
    note = registry.note(STUDENT, NOTE)
    if note is None:
        return None
    move = ChampionMove(**json.loads(note))
    students, teachers = (move.champion, move.previous, move.left), (move.teacher, move.previous_teacher)
    for name, numbers in ((STUDENT, students), (TEACHER, teachers)):
        if not all(number is None or registry.has(name, number) for number in numbers):
            registry.set_note(STUDENT, NOTE, None)
            return None
    return move


def _teacher_of(registry: Registry, student: int | None) -> int | None:
    if student is None:
        return None
    number = registry.version(STUDENT, student).origin.teacher_version
    return number if number is not None and registry.has(TEACHER, number) else None


def _finish_noted(registry: Registry) -> None:
    move = _noted(registry)
    if move is not None:
        _finish(registry, move)


def _finish(registry: Registry, move: ChampionMove) -> ChampionMove:
    """Every alias to where the move says, whichever of them stand there already."""
    standing = {
        STUDENT: {PREVIOUS: move.previous, CHAMPION: move.champion},
        TEACHER: {PREVIOUS: move.previous_teacher, CHAMPION: move.teacher},
    }
    for name, aliases in standing.items():
        for alias, number in aliases.items():
            if number is None:
                registry.remove_alias(name, alias)
            else:
                registry.set_alias(name, alias, number)
    registry.set_note(STUDENT, STANDING, json.dumps(standing))
    registry.set_note(STUDENT, NOTE, None)
    return move
