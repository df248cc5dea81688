"""Which conditions drive a video: activating one activates the weaker ones too, unless told otherwise (OmniHuman-1 section 3.4)."""

from collections.abc import Collection
from dataclasses import dataclass

from omnihuman.errors import InputError
from profiles.conditions import CONDITIONS, TABLE, condition_named, options_of


class ConditionError(InputError):
    """A combination of conditions that cannot be; the message says why and what to change."""


@dataclass(frozen=True)
class ActiveConditions:
    """The resolved set: `on` in order of strength, and for each condition that is off, why."""

    on: tuple[str, ...]
    off: tuple[tuple[str, str], ...]

    @property
    def driven_by(self) -> str:
        """The paper's names: audio-driven is all but pose, pose-only is pose without audio."""
        movers = [row.name for row in TABLE if row.moves]
        driving = [name for name in movers if name in self.on]
        if not driving:
            return f"{self.on[-1]} only"
        with_all_weaker = driving == movers[: len(driving)]
        return " and ".join(reversed(driving)) + ("" if with_all_weaker else " only")

    def record(self) -> dict[str, object]:
        """For metadata: JSON-ready."""
        return {"on": list(self.on), "off": dict(self.off), "driven_by": self.driven_by}


def activate_conditions(
    given: Collection[str], activate: str | None = None, without: Collection[str] = ()
) -> ActiveConditions:
    """Decide what is on.

    Args:
        given: conditions for which there is an input, here and below by name or by what a person gives (`image`).
        activate: the strongest one to use. It and every weaker one must be given or named in `without`. None uses whatever
            is given: an input left out is a condition switched off.
        without: conditions to leave out although they are given or weaker than `activate`; `("audio",)` with pose is the
            paper's pose-only.

    Raises:
        ConditionError: an unknown name, a contradiction, an input that is missing, or nothing left that is on.
    """
    given, without = _named(given), _named(without)
    activate = _named([activate])[0] if activate else None
    if activate is not None and activate in without:
        raise ConditionError(f"{options_of([activate])} is both activated and left out: name it in one of the two")
    strongest = CONDITIONS.index(activate) if activate else len(CONDITIONS) - 1
    on, off, missing = [], [], []
    for strength, name in enumerate(CONDITIONS):
        if name in without:
            off.append((name, "left out on request"))
        elif strength > strongest:
            off.append((name, f"stronger than {activate}, which was activated" if name in given else "not given"))
        elif name in given:
            on.append(name)
        else:
            missing.append(name)
            off.append((name, "not given"))
    if activate is not None and missing:
        raise ConditionError(
            f"activating {options_of([activate])} activates every weaker condition, but {options_of(missing, ' and ')} "
            f"{'was' if len(missing) == 1 else 'were'} not given: give {'it' if len(missing) == 1 else 'them'}, or leave out on "
            f"purpose (without {options_of(missing)})"
        )
    if not on:
        raise ConditionError(
            f"no condition is on: give at least one of {options_of(CONDITIONS)}, and do not leave all of them out"
        )
    return ActiveConditions(tuple(on), tuple(off))


def _named(words: Collection[str]) -> list[str]:
    """The conditions that people's words mean."""
    named = {word: condition_named(word) for word in words}
    if strange := sorted(word for word, name in named.items() if name is None):
        raise ConditionError(
            f"there is no condition {', '.join(strange)}; conditions are {options_of(CONDITIONS)}, weakest first"
        )
    return [name for name in named.values() if name is not None]
