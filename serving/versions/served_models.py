"""The version that is served, and the one that is tried beside it; which of them makes a video, and when they change places."""

import hashlib
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Collection
from dataclasses import dataclass

from serving.model_choice import LoadedModel
from serving.versions.canary import CanaryRule, Tally, Verdict, judge

logger = logging.getLogger(__name__)
SELDOM = 0.5  # share of the served version's videos
EVENTS = 100  # that are kept for people
KINDS = (SWITCH, CANARY, RETURN, KEPT) = "switch", "canary", "return", "kept"


@dataclass(frozen=True)
class Choice:
    """Who makes a video."""

    model: LoadedModel
    canary: bool = False


@dataclass(frozen=True)
class Event:
    """Something that happened to the versions: `time` in seconds since the epoch, `kind` one of `KINDS`, `text` for people."""

    time: float
    kind: str
    text: str


class ServedModels:
    """Its methods may be called from any thread. A video that has begun ends with the version that it began with."""

    def __init__(self, first: LoadedModel, rule: CanaryRule):
        self.rule = rule
        self._lock = threading.Lock()
        self._current = first
        self._canary: LoadedModel | None = None
        self._tallies = {False: Tally(), True: Tally()}
        self._trusted = {first.version}  # were served to everybody: a rollback to one of them is not tried again
        self._returned: dict[int, str] = {}
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._wrong = ""
        self._counts: Counter[str] = Counter()

    @property
    def current(self) -> LoadedModel:
        """The version that is served."""
        return self._current

    @property
    def canary(self) -> LoadedModel | None:
        """The version that is tried."""
        return self._canary

    @property
    def wrong(self) -> str:
        """Why what the alias says is not what is served; empty while all is well."""
        return self._wrong

    @property
    def events(self) -> list[Event]:
        """The last ones, newest first."""
        return list(reversed(self._events))

    def count(self, kind: str) -> int:
        """How often something of this kind happened."""
        return self._counts[kind]

    def returned(self, version: int) -> str:
        """Why a canary of this version was taken back; empty where none was."""
        return self._returned.get(version, "")

    def choose(self, job: str) -> Choice:
        """Who makes the video of a job; the same as long as the versions are, so that a job that is resumed goes on."""
        with self._lock:
            if self._canary is not None and _in_share(job, self.rule.share):
                return Choice(self._canary, canary=True)
            return Choice(self._current)

    def offer(self, model: LoadedModel) -> None:
        """A version that the alias stands at now, loaded: it takes over at once where it was served before or nothing is tried."""
        with self._lock:
            self._wrong = ""
            if self.rule.share == 0 or model.version in self._trusted:
                self._switch(model, "the alias moved")
                return
            self._canary, self._tallies[True] = model, Tally()
            self._tell(CANARY, f"{model.name} makes {self.rule.share:.0%} of the videos beside {self._current.name}")

    def stay(self) -> None:
        """The alias stands at the served version (again): what was tried beside it is let go, what was taken back may be tried anew."""
        with self._lock:
            self._wrong = ""
            self._returned.clear()
            if self._canary is not None:
                self._tell(RETURN, f"the alias left {self._canary.name}; {self._current.name} makes all videos")
                self._canary = None

    def keep(self, wrong: str) -> None:
        """Serve on what is served, and say what is wrong; said once as long as it stays the same."""
        with self._lock:
            if wrong != self._wrong:
                self._wrong = wrong
                self._tell(KEPT, f"{wrong}; {self._current.name} is served on")

    def report(self, choice: Choice, failed: Collection[str] | None) -> None:
        """What became of a video: the output checks that it failed, None where it could not be made."""
        with self._lock:
            if choice.model is not (self._canary if choice.canary else self._current):
                return  # it has changed places since
            self._tallies[choice.canary].add(failed)
            if not choice.canary:
                return
            verdict, why = judge(self.rule, self._tallies[True], self._tallies[False])
            if verdict is Verdict.TAKE_OVER:
                self._switch(choice.model, why)
            elif verdict is Verdict.RETURN:
                self._returned[choice.model.version] = why
                self._wrong = f"{choice.model.name} was taken back: {why}"
                self._tell(RETURN, f"{self._wrong}; {self._current.name} makes all videos")
                self._canary = None

    def unusual(self, failed: Collection[str]) -> tuple[str, ...]:
        """Of the checks that a canary's video misses, those that the served version seldom does: making it again would mend them."""
        with self._lock:
            usual = self._tallies[False].failing()
            return tuple(name for name in failed if usual.get(name, 0.0) < SELDOM)

    def _switch(self, model: LoadedModel, why: str) -> None:
        self._tell(SWITCH, f"{model.name} takes the place of {self._current.name}: {why}")
        self._trusted.add(model.version)
        self._current, self._canary = model, None
        self._tallies = {False: Tally(), True: Tally()}

    def _tell(self, kind: str, text: str) -> None:
        self._counts[kind] += 1
        self._events.append(Event(time.time(), kind, text))
        logger.warning(text) if kind in (RETURN, KEPT) else logger.info(text)


def _in_share(job: str, share: float) -> bool:
    return int(hashlib.sha256(job.encode()).hexdigest()[:8], 16) < share * 2**32
