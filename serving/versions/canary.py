"""When a new version takes over, and when it is taken back: pure rules on what it made beside the served one."""

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from serving.http.request_limits import VisitorError

REMEMBERED = (
    200  # videos of a version that are kept: what a canary is compared with, and the most that one can be asked for
)
TESTED = 6  # what is compared at a look: that a video was made, that it can be read, and the four checks of `serving.checks.output_checks`


@dataclass(frozen=True)
class CanaryRule:
    """How a new version is tried.

    Attributes:
        share: of the videos that it makes while it is tried; 0 lets it take over at once.
        videos: it has tried to make before it takes over.
        least: videos of either version before it is judged.
        alpha: how likely a canary as good as the served version may be taken back, over all looks and all that is compared.
    """

    share: float = 0.0
    videos: int = 20
    least: int = 5
    alpha: float = 0.05

    def __post_init__(self) -> None:
        if not (0 <= self.share < 1 and REMEMBERED >= self.videos >= self.least >= 1 and 0 < self.alpha < 1):
            raise VisitorError(
                f"a canary has a share in [0, 1) and makes {self.least} to {REMEMBERED} videos, got --canary {self.share:g} "
                f"and --canary-videos {self.videos}"
            )

    def looks(self) -> tuple[int, ...]:
        """After how many of its videos it is judged: `least`, twice as many and so on, and `videos`. At every video chance would have more chances."""
        doublings = range(math.ceil(math.log2(self.videos / self.least)))
        return (*(self.least * 2**n for n in doublings), self.videos)


@dataclass
class Tally:
    """The last videos of one version: of each the checks that it failed, None where it could not be made."""

    last: deque[tuple[str, ...] | None] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def add(self, failed: Iterable[str] | None) -> None:
        """One video."""
        self.last.append(None if failed is None else tuple(failed))

    @property
    def errors(self) -> int:
        """Videos that could not be made."""
        return sum(one is None for one in self.last)

    @property
    def made(self) -> int:
        """Videos that were made."""
        return len(self.last) - self.errors

    def counts(self) -> Counter[str]:
        """How many of the made videos fail each check."""
        return Counter(name for one in self.last if one is not None for name in one)

    def failing(self) -> dict[str, float]:
        """The share of the made videos that fail each check."""
        return {name: count / self.made for name, count in self.counts().items()}


class Verdict(Enum):
    """What becomes of a canary."""

    GO_ON = "goes on"
    TAKE_OVER = "takes over"
    RETURN = "is taken back"


def judge(rule: CanaryRule, canary: Tally, served: Tally) -> tuple[Verdict, str]:
    """Judge a canary by its tally beside the served version's; the words say why.

    It is taken back where it fails more often, by Fisher's exact test at `alpha` over the number of looks and of what is compared (Bonferroni).
    It takes over when it has had its videos, and the served version enough to be held against.
    """
    tried = len(canary.last)
    if len(served.last) < rule.least or (tried not in rule.looks() and tried < rule.videos):
        return Verdict.GO_ON, ""
    bound = rule.alpha / (len(rule.looks()) * TESTED)
    if (chance := fisher_exact_greater(canary.errors, tried, served.errors, len(served.last))) < bound:
        return Verdict.RETURN, (
            f"{canary.errors} of its {tried} videos could not be made, {served.errors} of the served version's {len(served.last)} (p = {chance:.1g})"
        )
    before = served.counts()
    for name, count in sorted(canary.counts().items()):
        if (chance := fisher_exact_greater(count, canary.made, before[name], served.made)) < bound:
            return Verdict.RETURN, (
                f"{count} of its {canary.made} videos fail the check '{name}', {before[name]} of the served version's {served.made} (p = {chance:.1g})"
            )
    if tried >= rule.videos:
        return Verdict.TAKE_OVER, f"of {tried} videos no more fail than of the served version's, as far as so many tell"
    return Verdict.GO_ON, ""


def fisher_exact_greater(failed: int, of: int, failed_before: int, of_before: int) -> float:
    """p of Fisher's exact test, one-sided: how likely `failed` or more of all failures fall on these `of`, were both alike."""
    both, failures = of + of_before, failed + failed_before
    ways = (math.comb(failures, k) * math.comb(both - failures, of - k) for k in range(failed, min(of, failures) + 1))
    return sum(ways) / math.comb(both, of)
