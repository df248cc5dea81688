"""Train anew or not: the rule, apart from where its facts come from, and the record of every time it was asked."""

import datetime
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from assets.core.names import CHAMPION, SCRATCH
from assets.retraining.column_drift import ColumnDrift
from assets.retraining.served_drift import ServedDrift
from media import write_atomically
from media.user_error import some_of
from profiles.schema import ContinuationConfig, RefreshConfig

NAMED = 5  # drifted columns and changed settings that a reason spells out


@dataclass(frozen=True)
class RefreshFacts:
    """What the rule looks at.

    Attributes:
        champion: its version, or None where there is none.
        snapshot: digest that the champion was trained on; None where its manifest is gone.
        hours, new_hours: per condition, of the champion's snapshot, and of usable clips that are not in it.
        new_clips: usable clips that are not in it.
        lost_clips: clips of it that are withdrawn, or whose shard is gone.
        drift: of each score column, or empty where there are too few new clips.
        served: of each column that inputs which were served have too, or empty where there are too few.
        changed: code versions and settings that differ from those the champion was made with, in words.
        unknown: what could not be found out, and why.
        same_settings: whether the champion is known to be made by today's code and settings.
        teacher_known: whether the registry says which teacher the champion was distilled from.
        standing: whether, without a champion, a student made by today's clips, code and settings stands and was judged.
        usable: digest of the ids of all clips that a snapshot would list today, per condition.
    """

    champion: int | None
    snapshot: str | None = None
    hours: dict[str, float] = field(default_factory=dict)
    new_hours: dict[str, float] = field(default_factory=dict)
    new_clips: int = 0
    lost_clips: int = 0
    drift: tuple[ColumnDrift, ...] = ()
    served: tuple[ServedDrift, ...] = ()
    changed: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    same_settings: bool = False
    teacher_known: bool = False
    standing: bool = False
    usable: str = ""

    @property
    def fingerprint(self) -> str:
        """Equal for two nights on which a training would start from the same champion, clips, code and settings."""
        parts = [self.champion, self.snapshot, self.usable, self.lost_clips, self.changed]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def growth(self, condition: str) -> float:
        """New hours over the champion's; infinite where the champion had none and now there are some."""
        before, new = self.hours.get(condition, 0.0), self.new_hours.get(condition, 0.0)
        return new / before if before else (float("inf") if new else 0.0)


@dataclass(frozen=True)
class RefreshDecision:
    """`reasons` say why to train, or, when it is skipped, what was looked at and found too small.

    `start` is where a training would begin, scratch or champion, and `start_reason` why.
    """

    refresh: bool
    reasons: tuple[str, ...]
    facts: RefreshFacts
    start: str = SCRATCH
    start_reason: str = ""

    def __str__(self) -> str:
        return f"{'refresh' if self.refresh else 'skipped'}: {'; '.join(self.reasons)}"


def decide_refresh(
    facts: RefreshFacts, config: RefreshConfig, continuation: ContinuationConfig | None = None
) -> RefreshDecision:
    """Any one reason is enough. Pure: the same facts give the same decision."""
    refresh, reasons = _whether(facts, config)
    against = list(_against_continuing(facts, continuation))
    start = SCRATCH if against else CHAMPION
    return RefreshDecision(
        refresh, reasons, facts, start, "; ".join(against) or "its clips, code and settings still stand"
    )


def _whether(facts: RefreshFacts, config: RefreshConfig) -> tuple[bool, tuple[str, ...]]:
    if facts.champion is None and facts.standing:
        return False, (
            "there is no champion, and the student that stands is of today's clips, code and settings: another training would end in the same; "
            "`omnihuman versions` says why the gate refused it",
        )
    if facts.champion is None:
        return True, ("there is no champion yet",)
    if facts.snapshot is None:
        return True, ("the champion's snapshot is nowhere to be found, so nothing can be compared with it",)
    reasons = []
    if facts.lost_clips:
        reasons.append(f"{facts.lost_clips} clips of the champion's snapshot are withdrawn or gone")
    grown = {name: facts.growth(name) for name in facts.new_hours if facts.growth(name) >= config.growth_min}
    if grown:
        reasons.append(f"new usable hours {_percent(grown)}, from {config.growth_min:.3g} on it is worth it")
    drifted = [column for column in facts.drift if column.drifted]
    if drifted:
        reasons.append(
            f"{len(drifted)} score columns of {facts.new_clips} new clips drifted: {some_of([str(c) for c in drifted], NAMED)}"
        )
    strange = [one for one in facts.served if one.column.drifted]
    if nearer := [one for one in strange if one.nearer and facts.new_clips]:
        reasons.append(f"{_served(nearer)}, and today's clips are nearer to them")
    if facts.changed:
        reasons.append(f"made by other code or settings: {some_of(list(facts.changed), NAMED)}")
    if reasons:
        return True, tuple(reasons)
    growth = {name: facts.growth(name) for name in facts.new_hours}
    looked_at = f"no drift in {len(facts.drift)} columns" if facts.drift else "drift not judged"
    if strange:
        looked_at += f"; {_served(strange)}, and no clips of today are nearer: take in clips like them"
    small = f"{_percent(growth) or '+0 %'} < {config.growth_min * 100:g} %"
    return False, (small, looked_at, "same code and settings", *facts.unknown)


def _served(drifted: Sequence[ServedDrift]) -> str:
    inputs = max(one.inputs for one in drifted)
    named = some_of([str(one.column) for one in drifted], NAMED)
    return f"what is asked of the champion drifted from its clips in {len(drifted)} columns of {inputs} served inputs: {named}"


def _against_continuing(facts: RefreshFacts, config: ContinuationConfig | None) -> Iterator[str]:
    """Why a training cannot go on from the champion's teacher; nothing when it can."""
    if config is None:
        yield "the profile has no section `continuation`"
        return
    if facts.champion is None or facts.snapshot is None:
        yield "there is no champion whose snapshot is known"
        return
    if not facts.teacher_known:
        yield "the registry does not say which teacher the champion was distilled from"
    if facts.lost_clips:
        yield "its weights have seen clips that are withdrawn or gone"
    if not facts.same_settings:
        yield "it was made by other code or settings, or that is not on record"
    large = {name: facts.growth(name) for name in facts.new_hours if facts.growth(name) > config.growth_max}
    if large:
        yield f"new usable hours {_percent(large)} are more than {config.growth_max:.3g} of its own"


def _percent(growth: dict[str, float]) -> str:
    return ", ".join(f"{name} {value * 100:+.1f} %" for name, value in growth.items())


def record_decision(decision: RefreshDecision, folder: Path) -> Path:
    """One JSON file per decision, named by the time (UTC); returns its path."""
    when = datetime.datetime.now(datetime.UTC)
    content: dict[str, Any] = {"when": when.isoformat(timespec="seconds"), **asdict(decision)}
    path = folder / f"{when:%Y%m%dT%H%M%S.%fZ}.json"
    write_atomically(path, json.dumps(content, indent=1).encode())
    return path
