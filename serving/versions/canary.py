"""When a new version takes over, and when it is taken back: pure rules on what it made beside the served one."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from serving.http.request_limits import VisitorError

REMEMBERED = 200  # videos of the served version that a canary is compared with


@dataclass(frozen=True)
class CanaryRule:
    """How a new version is tried.

    Attributes:
        share: of the videos that it makes while it is tried; 0 lets it take over at once.
        videos: it makes before it takes over.
        errors: of its videos that may fail to be made.
        worse: by how much the share of its videos that fail an output check may exceed the served version's.
        least: videos before its checks are judged.
    """

    share: float = 0.0
    videos: int = 20
    errors: int = 0
    worse: float = 0.2
    least: int = 5

    def __post_init__(self) -> None:
        if not (0 <= self.share < 1 and self.videos >= self.least >= 1 and self.errors >= 0 and 0 <= self.worse <= 1):
            raise VisitorError(
                f"a canary has a share in [0, 1) and makes {self.least} videos or more, got --canary {self.share:g} "
                f"and --canary-videos {self.videos}"
            )


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

    def failing(self) -> dict[str, float]:
        """The share of the made videos that fail each check."""
        counts = Counter(name for one in self.last if one is not None for name in one)
        return {name: count / self.made for name, count in counts.items()}


class Verdict(Enum):
    """What becomes of a canary."""

    GO_ON = "goes on"
    TAKE_OVER = "takes over"
    RETURN = "is taken back"


def judge(rule: CanaryRule, canary: Tally, served: Tally) -> tuple[Verdict, str]:
    """Judge a canary by its tally beside the served version's; the words say why."""
    if canary.errors > rule.errors:
        return Verdict.RETURN, f"{canary.errors} of its {len(canary.last)} videos could not be made"
    if canary.made >= rule.least:
        before = served.failing()
        for name, share in sorted(canary.failing().items()):
            if share - before.get(name, 0.0) > rule.worse:
                return Verdict.RETURN, (
                    f"{share:.0%} of its {canary.made} videos fail the check '{name}', {before.get(name, 0.0):.0%} of the served version's {served.made}"
                )
    if canary.made >= rule.videos:
        return Verdict.TAKE_OVER, f"{canary.made} videos were made, {canary.errors} failed"
    return Verdict.GO_ON, ""
