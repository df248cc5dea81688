"""Which of two videos people prefer: blind pairs in random order and sides, votes one a line, win rates with intervals.

The questions are those of OmniHuman-1's Table 3 (v2), where people could also abstain.
"""

import json
import os
import random
import re
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from filelock import lock_descriptor

from evaluation.people.shares import wilson
from media import cut_unfinished_line
from media.user_error import UserError

QUESTIONS = {
    "identity": "Which looks more like the person in the reference?",
    "lip_sync": "In which does the mouth follow the sound better?",
    "quality": "Which has the better picture?",
    "diversity": "Which moves more richly?",
    "overall": "Which would you rather have, all in all?",
}
LEFT, RIGHT, NONE = "left", "right", "none"
VOTER = re.compile(r"[0-9a-f]{16,32}")


class VoteError(UserError, ValueError):
    """A vote that cannot be taken, or a file of votes that cannot be read; the message says why."""


@dataclass(frozen=True)
class System:
    """One side of a comparison: its name, and the digest of its weights."""

    name: str
    weights: str


@dataclass(frozen=True)
class Pair:
    """One clip made by two systems. `token` is all that a voter sees of it."""

    token: str
    clip: str
    left: System
    right: System

    @property
    def key(self) -> tuple[str, frozenset[System]]:
        """The same whichever side is left."""
        return self.clip, frozenset({self.left, self.right})


@dataclass(frozen=True)
class Vote:
    """One voter's answers to every question of a pair; each is left, right or none."""

    when: str
    voter: str
    benchmark: str
    clip: str
    left: System
    right: System
    answers: Mapping[str, str]

    @property
    def key(self) -> tuple[str, frozenset[System]]:
        """As of `Pair`."""
        return self.clip, frozenset({self.left, self.right})


class Ballot:
    """All pairs of systems on some clips, each voter asked about each once, the least voted on first.

    Args:
        systems: two or more.
        clips: names of the benchmark's clips.
        benchmark: its digest, kept with every vote.
        votes: file of votes, appended to.
        seed: of order and sides; None is another one each time.

    Raises:
        VoteError: fewer than two systems, or a file that cannot be read.
    """

    def __init__(
        self, systems: Sequence[System], clips: Sequence[str], benchmark: str, votes: Path, seed: int | None = None
    ):
        if len(systems) < 2 or not clips:
            raise VoteError(f"a comparison needs two systems and a clip, got {len(systems)} and {len(clips)}")
        self.benchmark, self._file, self._lock = benchmark, votes, threading.Lock()
        draw = random.Random(secrets.randbits(64) if seed is None else seed)
        pairs = [(clip, draw.sample(pair, 2)) for clip in clips for pair in combinations(systems, 2)]
        draw.shuffle(pairs)
        self.pairs = {token: Pair(token, clip, *sides) for clip, sides in pairs for token in [secrets.token_hex(8)]}
        self._given: dict[tuple[str, frozenset[System]], set[str]] = {pair.key: set() for pair in self.pairs.values()}
        for vote in read_votes(votes):
            if vote.benchmark == benchmark and vote.key in self._given:
                self._given[vote.key].add(vote.voter)

    def next(self, voter: str) -> Pair | None:
        """A pair that this voter has not judged, of those with the fewest votes; None when there is none left."""
        _check_voter(voter)
        open_ = [pair for pair in self.pairs.values() if voter not in self._given[pair.key]]
        return min(open_, key=lambda pair: len(self._given[pair.key]), default=None)

    def judged(self, voter: str) -> int:
        """How many pairs this voter has judged."""
        return sum(voter in voters for voters in self._given.values())

    def pair(self, token: str) -> Pair:
        """The pair behind a token. Raises VoteError where there is none."""
        if token not in self.pairs:
            raise VoteError("no such pair; load the page again")
        return self.pairs[token]

    def vote(self, token: str, voter: str, answers: Mapping[str, str]) -> Vote:
        """Keep a voter's answers.

        Raises:
            VoteError: an unknown pair, voter's name, question or side, an answer that is missing, or a second vote on a pair.
        """
        _check_voter(voter)
        pair = self.pair(token)
        if set(answers) != set(QUESTIONS):
            raise VoteError(f"answer each of {', '.join(QUESTIONS)}, and nothing else")
        if not set(answers.values()) <= {LEFT, RIGHT, NONE}:
            raise VoteError(f"an answer is {LEFT}, {RIGHT} or {NONE}")
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        vote = Vote(when, voter, self.benchmark, pair.clip, pair.left, pair.right, dict(answers))
        with self._lock:
            if voter in self._given[pair.key]:
                raise VoteError("you have judged this pair already")
            append_vote(self._file, vote)
            self._given[pair.key].add(voter)
        return vote


def _check_voter(voter: str) -> None:
    if not VOTER.fullmatch(voter):
        raise VoteError("a voter is 16 to 32 hex digits, which the page draws")


def votes_file(root: Path, study: str | None) -> Path:
    """Where votes are kept: below the workspace's root and under version control, because no command makes them again."""
    return root / "votes" / f"{study or 'models'}.jsonl"


def append_vote(path: Path, vote: Vote) -> None:
    """Add a line, whole and on disk when this returns; what a killed process left unfinished is cut off first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        lock_descriptor(file.fileno())  # the file itself, for it is under version control and a lock beside it is not
        cut_unfinished_line(file)
        file.write(json.dumps(asdict(vote), sort_keys=True).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_votes(path: Path) -> list[Vote]:
    """Every whole line; none where there is no file.

    Raises:
        VoteError: a line that is no vote, with its number.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]  # what follows the last line's end is unfinished
    return [_parsed(line, f"{path} line {number}") for number, line in enumerate(lines, start=1)]


def _parsed(line: bytes, where: str) -> Vote:
    try:
        values = json.loads(line)
        return Vote(**{**values, "left": System(**values["left"]), "right": System(**values["right"])})
    except (ValueError, TypeError, KeyError) as error:
        raise VoteError(f"{where} is no vote ({error}); remove the line") from error


def win_table(votes: Iterable[Vote]) -> list[dict[str, Any]]:
    """One row per system and question: how often it was picked of those comparisons in which somebody was.

    `win_rate` with `low` and `high`, Wilson's 95 % interval; `picked` of `asked` comparisons, abstentions among the latter. Votes
    are counted as independent, although one person gives many: with few voters the interval is too narrow.
    """
    votes = list(votes)
    names = _names(votes)
    rows = []
    for system, name in names.items():
        own = [vote for vote in votes if system in (vote.left, vote.right)]
        for question in QUESTIONS:
            answers = [(vote.answers[question], LEFT if vote.left == system else RIGHT) for vote in own]
            decided = [(answer, side) for answer, side in answers if answer != NONE]
            picked = sum(answer == side for answer, side in decided)
            low, high = wilson(picked, len(decided))
            rate = picked / len(decided) if decided else float("nan")
            numbers = {
                "win_rate": rate,
                "low": low,
                "high": high,
                "picked": picked,
                "decided": len(decided),
                "asked": len(own),
            }
            rows.append({"system": name, "question": question, **numbers, "voters": len({vote.voter for vote in own})})
    return rows


def win_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table in the shape of Table 3: a row per system, a column per question."""
    lines = [
        "| system | " + " | ".join(QUESTIONS) + " | comparisons | voters |",
        "| --- |" + " ---: |" * (len(QUESTIONS) + 2),
    ]
    for name in dict.fromkeys(row["system"] for row in rows):
        own = {row["question"]: row for row in rows if row["system"] == name}
        cells = [
            f"{r['win_rate']:.0%} [{r['low']:.0%}, {r['high']:.0%}]" if r["decided"] else "–"
            for r in (own[q] for q in QUESTIONS)
        ]
        lines.append(
            f"| {name} | " + " | ".join(cells) + f" | {own['overall']['asked']} | {own['overall']['voters']} |"
        )
    return "\n".join(lines) + "\n"


def _names(votes: Sequence[Vote]) -> dict[System, str]:
    """A name for each system, with digits of its weights where two of that name were voted on."""
    systems = sorted({side for vote in votes for side in (vote.left, vote.right)}, key=lambda s: (s.name, s.weights))
    often = [system.name for system in systems]
    return {s: s.name if often.count(s.name) == 1 else f"{s.name} ({s.weights[:8]})" for s in systems}
