"""What every threshold costs: clips and hours of each subset as one number moves and all others stay."""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from curation.errors import CurationError
from curation.subsets.nested_subsets import known_columns, parse_predicates
from curation.subsets.predicates import Threshold, parse_predicate, threshold_of
from curation.subsets.selection import SECONDS_PER_HOUR, Selection, Tally, batches, check_predicates, column
from profiles.conditions import SUBSETS
from profiles.schema import CurationConfig

POINTS = 60
THREADS = 2  # that count; numpy lets go of the interpreter's lock for most of it
SAMPLE_ROWS = 50_000
TAILS = (0.5, 99.5)  # percent: the range of thresholds that is drawn
OMNIHUMAN_KEEP_RATE = 0.13  # of the hours, after lip-sync and pose visibility (OmniHuman-1 section 4.1)


@dataclass(frozen=True)
class Curve:
    """One threshold moved.

    Attributes:
        subset: whose predicate the clause stands in.
        clause: as it stands in the profile.
        threshold: its column, comparison and number.
        values: `(P,)` thresholds; the profile's own is among them.
        clips: subset to `(P,)` counts, for `subset` and those inside it.
        hours: the same in hours.
    """

    subset: str
    clause: str
    threshold: Threshold
    values: np.ndarray
    clips: dict[str, np.ndarray]
    hours: dict[str, np.ndarray]


@dataclass(frozen=True)
class Sweep:
    """Every movable threshold, and where the profile stands."""

    selection: Selection
    curves: list[Curve]


def sweep(dataset: ds.Dataset, config: CurationConfig) -> Sweep:
    """Move each threshold over its column's range, in one pass over the table and without computing a score.

    A clip counts for a subset at a threshold when all its other clauses hold, and those of the subsets around it, and
    its value is on the right side. So for each clause a histogram of the values of such clips is enough: its cumulative
    sums are the curve.

    Raises:
        CurationError: a predicate is wrong, or reads a column that no shard has.
    """
    if config.silent_pose:
        raise CurationError(
            "a sweep moves thresholds of nested subsets; set curation.silent_pose=false for it, and pose is counted inside audio"
        )
    predicates = parse_predicates(config)
    check_predicates(dataset, [predicate.text for predicate in predicates.values()], config)
    clauses = [(name, clause) for name, predicate in predicates.items() for clause in predicate.clauses]
    movable = {i: found for i, (_, clause) in enumerate(clauses) if (found := threshold_of(clause)) is not None}
    columns = sorted({threshold.column for threshold in movable.values()})
    ranges = _ranges(dataset, columns)
    counters = {i: _Counter.of(threshold, ranges[threshold.column]) for i, threshold in movable.items()}
    levels = np.array([SUBSETS.index(name) for name, _ in clauses])
    known = known_columns(config)
    projection = {f"clause {i}": parse_predicate(text, known).expression for i, (_, text) in enumerate(clauses)}
    projection["seconds"] = pc.field("seconds")
    # Missing values become NaN in Arrow, on its threads; numpy would copy each column for them.
    projection |= {f"value {name}": pc.coalesce(pc.field(name).cast("float64"), pc.scalar(np.nan)) for name in columns}
    tally, lock = Tally(), Lock()

    def count(batch: pa.RecordBatch) -> None:
        seconds = column(batch, "seconds")
        holds = [column(batch, f"clause {i}") for i in range(len(clauses))]
        own = _level_without(holds, levels, None)
        found = {
            i: counter.of_batch(column(batch, f"value {movable[i].column}"), _level_without(holds, levels, i), seconds)
            for i, counter in counters.items()
        }
        with lock:
            tally.add({name: own > place for place, name in enumerate(SUBSETS)}, seconds)
            for i, counted in found.items():
                counters[i].add(*counted)

    with ThreadPoolExecutor(THREADS) as pool:
        waiting: deque[Future] = deque()
        for batch in batches(dataset, projection):
            waiting.append(pool.submit(count, batch))
            if len(waiting) > THREADS:
                waiting.popleft().result()
        for future in waiting:
            future.result()
    curves = [counter.curve(*clauses[i], int(levels[i])) for i, counter in counters.items()]
    return Sweep(tally.selection(), curves)


def _level_without(holds: list[np.ndarray], levels: np.ndarray, left_out: int | None) -> np.ndarray:
    """`(rows,)` int8: how many of the nested subsets a clip is in when clause `left_out` is taken to hold."""
    inside = np.ones(len(holds[0]), bool)
    level = np.zeros(len(holds[0]), np.int8)
    for subset in range(len(SUBSETS)):
        for i in np.flatnonzero(levels == subset):
            if i != left_out:
                inside &= holds[i]
        level += inside
    return level


def _ranges(dataset: ds.Dataset, columns: list[str]) -> dict[str, tuple[float, float]]:
    """Between the tails of each column, in the first rows of files spread over the table."""
    fragments = list(dataset.get_fragments())
    chosen = [fragments[i] for i in np.unique(np.linspace(0, len(fragments) - 1, 8).astype(int))]
    each = -(-SAMPLE_ROWS // len(chosen))
    heads = (
        [fragment.scanner(schema=dataset.schema, columns=columns).head(each) for fragment in chosen] if columns else []
    )
    found = {}
    for name in columns:
        values = np.concatenate([head[name].to_numpy() for head in heads]).astype(float)
        finite = values[np.isfinite(values)]
        low, high = np.percentile(finite, TAILS) if len(finite) else (0.0, 1.0)
        found[name] = (float(low), float(high))
    return found


@dataclass(frozen=True)
class _Counter:
    """Clips and seconds by level and by the gap between two neighbouring thresholds that a value falls in."""

    threshold: Threshold
    values: np.ndarray
    clips: np.ndarray
    seconds: np.ndarray

    @classmethod
    def of(cls, threshold: Threshold, limits: tuple[float, float]) -> "_Counter":
        low, high = min(limits[0], threshold.number), max(limits[1], threshold.number)
        # An even grid through the profile's own number, so that a value's gap is arithmetic and not a search.
        step = (high - low) / (POINTS - 1) or 1.0
        first = -int(np.ceil((threshold.number - low) / step))
        values = threshold.number + step * np.arange(first, first + POINTS + 1)
        shape = (len(SUBSETS) + 1) * (len(values) + 1)
        return cls(threshold, values, np.zeros(shape), np.zeros(shape))

    def of_batch(self, values: np.ndarray, level: np.ndarray, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Clips and seconds of one batch, for `add`."""
        used = np.flatnonzero((level > 0) & ~np.isnan(values))
        place = self._gap(values[used]) + level[used].astype(np.int32) * np.int32(len(self.values) + 1)
        size = len(self.clips)
        return np.bincount(place, minlength=size), np.bincount(place, seconds[used], minlength=size)

    def add(self, clips: np.ndarray, seconds: np.ndarray) -> None:
        self.clips[:] += clips
        self.seconds[:] += seconds

    def _gap(self, values: np.ndarray) -> np.ndarray:
        """How many thresholds lie at or below each value; for > and <=, how many lie below it. A value that equals a
        threshold passes >= and <=, not > and <, so it must fall on the side where it counts."""
        step = self.values[1] - self.values[0]
        guess = np.clip((values - self.values[0]) * (1 / step) + 1, 0, len(self.values)).astype(np.int32)
        # The guess may be one off where a value lies on a threshold to within rounding: the thresholds themselves decide.
        edges = np.concatenate([[-np.inf], self.values, [np.inf]])
        below, above = edges[guess], edges[guess + 1]
        if self.threshold.comparison in (">=", "<"):
            return guess - (values < below) + (values >= above)
        return guess - (values <= below) + (values > above)

    def curve(self, subset: str, clause: str, level: int) -> Curve:
        inner = SUBSETS[level:]
        clips = {name: self._kept(self.clips, SUBSETS.index(name) + 1).round().astype(int) for name in inner}
        hours = {name: self._kept(self.seconds, SUBSETS.index(name) + 1) / SECONDS_PER_HOUR for name in inner}
        return Curve(subset, clause, self.threshold, self.values, clips, hours)

    def _kept(self, counts: np.ndarray, level: int) -> np.ndarray:
        by_gap = counts.reshape(len(SUBSETS) + 1, -1)[level:].sum(axis=0)
        below = np.cumsum(by_gap)[:-1]
        return by_gap.sum() - below if self.threshold.comparison.startswith(">") else below
