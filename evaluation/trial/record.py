"""What the last trial found of each metric, kept beside the code so that pages and panels can say it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from media import write_atomically

FILE = Path(__file__).with_name("findings.json")
FOLLOWS, PARTLY, DOES_NOT, TOO_FEW, UNTRIED = "follows truth", "partly", "does not", "too few clips", "not tried"
PAGE = "docs/results/2026-11-29-metrics-on-trial.md"


@dataclass(frozen=True)
class Standing:
    """How a metric stands to the truth: verdict, what it was held against, its rank correlation with that, and what disturbs it most."""

    verdict: str
    aspect: str = ""
    rank: float = float("nan")
    coverage: float = float("nan")
    disturbance: float = float("nan")
    disturber: str = ""

    @property
    def doubt(self) -> str:
        """Why to read the metric with care; empty where it follows the truth or was not tried."""
        if self.verdict in (FOLLOWS, TOO_FEW, UNTRIED):
            return ""
        return f"on rendered people it {'partly follows' if self.verdict == PARTLY else 'does not follow'} the true {self.aspect} ({PAGE})"


def write_standings(standings: Mapping[str, Standing], samples: str) -> None:
    """Keep what a trial found; what it did not look at stays as it was kept.

    Args:
        standings: by metric.
        samples: on what, for people; kept from the first trial that is written.
    """
    kept = {
        name: {
            field: round(value, 3) if isinstance(value, float) else value
            for field, value in asdict(one).items()
            if value == value  # no NaN
        }
        for name, one in standings.items()
    }
    _kept.cache_clear()
    before = _kept()
    told = {"samples": before["samples"] if before["metrics"] else samples, "metrics": before["metrics"] | kept}
    write_atomically(FILE, (json.dumps(told, indent=1) + "\n").encode())
    _kept.cache_clear()


def standing(metric: str) -> Standing:
    """How a metric stands; `UNTRIED` where no trial has looked at it."""
    told = _kept()["metrics"].get(metric)
    return Standing(UNTRIED) if told is None else Standing(**told)


def tried_on() -> str:
    """What the trial was held on."""
    samples: str = _kept()["samples"]
    return samples


@lru_cache(maxsize=1)
def _kept() -> dict:  # type: ignore[type-arg]
    return json.loads(FILE.read_text()) if FILE.is_file() else {"samples": "nothing yet", "metrics": {}}
