"""What is known of a metric beside its formula. It stands on the metric's class and nowhere else: gate, floors, tables, plots and
pages read it there, through `evaluation.metrics.registry`."""

from dataclasses import dataclass
from typing import ClassVar

from evaluation.metrics.observation.needs import Need

LAST = 1000  # the place of whatever names none


@dataclass(frozen=True)
class Floor:
    """The row of the score table that says what the metric reads where a condition cannot be followed."""

    model: str
    mode: str


@dataclass(frozen=True)
class Reading:
    """A metric that opens tables, is measured on slices and clip by clip, and may gate.

    Attributes:
        mode: of generation, in which it is read.
        place: among the metrics that have a reading: in checks, slices and plots.
    """

    mode: str
    place: int = LAST


class MetricFacts:
    """A metric's facts.

    Attributes:
        name: in the score tables.
        unit: there too.
        higher_is_better: None where neither end is best, as for a ratio to the truth's value.
        title: for people, in plots and tables.
        column: heading of its column where a table tells more than `title`; empty is `title`.
        digits: behind the point in the comparison of teacher and student.
        arrow: whether the title shows which way is better in tables of methods.
        place: of its row in the score table; equal ones by name.
        reading: how tables and gate read it; None for a metric that only stands in the score table.
        floor: where its floor stands; None for a metric whose floor is not measured.
        best: what a perfect video reads where neither end is best, None where that is not known either.
        needs: what it looks at beside the generated frames.
        damage: known damage to real clips that it must notice, mildest first (`evaluation.baselines.damage`); the last is its floor
            among methods.
        aspect: of a video that it is meant to follow, one of `evaluation.trial.aspects.ASPECTS`; empty for a metric that is not tried.
    """

    name: str
    unit: str
    higher_is_better: ClassVar[bool | None]
    title: ClassVar[str]
    column: ClassVar[str] = ""
    digits: ClassVar[int] = 3
    arrow: ClassVar[bool] = True
    place: ClassVar[int] = LAST
    reading: ClassVar[Reading | None] = None
    floor: ClassVar[Floor | None] = None
    best: ClassVar[float | None] = None
    needs: ClassVar[tuple[Need, ...]] = ()
    damage: ClassVar[tuple[str, ...]] = ()
    aspect: ClassVar[str] = ""

    @classmethod
    def column_title(cls) -> str:
        """The heading of its column in the comparison of teacher and student."""
        return cls.column or cls.title

    @classmethod
    def directed_title(cls) -> str:
        """The title with an arrow to the better side."""
        if not cls.arrow or cls.higher_is_better is None:
            return cls.title
        return cls.title + ("↑" if cls.higher_is_better else "↓")
