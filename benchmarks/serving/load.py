"""500 requests through a promotion, a canary that fails, and a rollback: `python -m benchmarks.serving.load --plot FILE.png`.

A real `omnihuman serve` in a process of its own, with tiny untrained students, is asked over HTTP by a few clients at a time. Each request
posts a picture and a voice, waits for the video and fetches it. Meanwhile champion's alias moves: from version 1 to 2, which is tried as a
canary and takes over; to 3, which draws grey, fails its checks and is taken back; and to 1, which was served before.

With `--switches N` the alias goes to and fro between versions 1 and 2 instead, without a canary, and what a switch costs is said in ratios that a
busy machine leaves standing: the requests under way while a version is looked for, verified and loaded, against as many just before it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import requests

from assets.core.names import STUDENT
from assets.core.workspace import Workspace
from serving.http.keys import Right, add_key
from tests.orchestration.serving import PROFILE
from tests.serving.students import home_with_students
from tracking.model_address import CHAMPION
from tracking.served_log import FILE, ServedLog

ROOT = Path(__file__).resolve().parents[2]
ASKING = 4  # requests under way at a time
SECONDS = 0.25  # of a video
MOVES = {0.2: 2, 0.5: 3, 0.8: 1}  # after this share of the requests, champion stands at this version
SERVE = ("serve", "--port", "0", "--follow", "1", "--waiting", "64", "--per-client", "64", "--keep-jobs", "2000")
CANARY = ("--canary", "0.25", "--canary-videos", "10")


@dataclass(frozen=True)
class Answer:
    """One request: when it was asked and answered, seconds of the server's work, the version that made it, and what went wrong."""

    asked: float
    answered: float
    work: float
    version: int
    wrong: str = ""


def main() -> None:
    """Print what became of the requests, and draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--plot", type=Path, help="a PNG")
    parser.add_argument("--switches", type=int, default=0, help="measure so many switches instead")
    parser.add_argument("--every", type=int, default=24, help="requests between two switches")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = home_with_students(Path(folder))
        keys = home / "keys.yaml"
        key = add_key(keys, "load", frozenset({Right.VIDEOS, Right.METRICS}))
        count = given.requests if not given.switches else given.every * (given.switches + 1)
        at = {round(share * count): version for share, version in MOVES.items()}
        if given.switches:
            at = {given.every * (number + 1): 2 - number % 2 for number in range(given.switches)}
        with _serving(home, keys, () if given.switches else CANARY) as address:
            begun = time.time()
            moves, answers = _load(home, address, key, count, at)
            metrics = requests.get(f"{address}/metrics", headers=_bearer(key), timeout=10).text
        rows = ServedLog(home / "var" / FILE).latest(2 * count)
        replaced = [row for row in rows if row.outcome == "replaced"]
    if given.switches:
        _print_switches(answers, moves)
        return
    _print(answers, moves, begun, len(replaced), metrics)
    if given.plot:
        _draw(answers, moves, begun, [row.time for row in replaced], given.plot)


@contextmanager
def _serving(home: Path, keys: Path, canary: tuple[str, ...]) -> Iterator[str]:
    """A server's address, until the block ends."""
    command = [sys.executable, "-W", "ignore", "-m", "orchestration.commands.cli", *SERVE, *canary, "--keys", str(keys)]
    environment = os.environ | {"OMNIHUMAN_HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with (
        open(home / "served.log", "ab") as log,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            told = next((line for line in process.stdout if "http://" in line), "")
            if not told:
                raise RuntimeError(f"the server did not start: {(home / 'served.log').read_text()[-2000:]}")
            yield "http://" + told.split("http://")[1].split("/")[0]
        finally:
            process.terminate()


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _load(
    home: Path, address: str, key: str, count: int, waiting: dict[int, int]
) -> tuple[list[tuple[float, int]], list[Answer]]:
    """`waiting`: before this request champion is moved to this version."""
    registry, lock = Workspace(home, PROFILE).registry, threading.Lock()
    moves: list[tuple[float, int]] = []
    session = threading.local()

    def ask(number: int) -> Answer:
        with lock:
            if number in waiting:
                registry.set_alias(STUDENT, CHAMPION, waiting[number])
                moves.append((time.time(), waiting[number]))
        if not hasattr(session, "own"):
            session.own = requests.Session()
        return _answer(session.own, home / "inputs", address, key, number)

    with ThreadPoolExecutor(ASKING) as clients:
        return moves, list(clients.map(ask, range(count)))


def _answer(session: requests.Session, inputs: Path, address: str, key: str, seed: int) -> Answer:
    asked = time.time()
    try:
        with open(inputs / "face.png", "rb") as face, open(inputs / "voice.wav", "rb") as voice:
            sent = session.post(
                f"{address}/v1/videos", files={"image": face, "audio": voice}, data={"seconds": SECONDS, "seed": seed},
                headers=_bearer(key), timeout=120,
            )  # fmt: skip
        sent.raise_for_status()
        job = _ended(session, f"{address}/v1/videos/{sent.json()['id']}", key)
        content = session.get(f"{address}/v1/videos/{job['id']}/content", headers=_bearer(key), timeout=120)
        content.raise_for_status()
        wrong = "" if content.content[4:8] == b"ftyp" else "no mp4"
        return Answer(asked, time.time(), job["inference_time_s"], int(job["model"].rsplit(" ", 1)[1]), wrong)
    except (requests.RequestException, RuntimeError) as error:
        return Answer(asked, time.time(), 0.0, 0, f"{error}")


def _ended(session: requests.Session, place: str, key: str) -> dict[str, Any]:
    while True:
        shown = session.get(place, headers=_bearer(key), timeout=120)
        shown.raise_for_status()
        job: dict[str, Any] = shown.json()
        if job["status"] == "failed":
            raise RuntimeError(job["error"]["message"])
        if job["status"] == "completed":
            return job
        time.sleep(0.05)


def _print(answers: list[Answer], moves: list[tuple[float, int]], begun: float, replaced: int, metrics: str) -> None:
    wrong = [answer.wrong for answer in answers if answer.wrong]
    usual = median(answer.work for answer in answers if not answer.wrong)
    print(
        f"{len(answers)} requests in {max(a.answered for a in answers) - begun:.0f} s, {len(wrong)} failed {sorted(set(wrong))}"
    )
    print(
        f"made by version: { {v: sum(a.version == v for a in answers) for v in sorted({a.version for a in answers})} }"
    )
    print(f"made again by the served version what a canary could not make, or missed a check with: {replaced}")
    print(f"seconds of work, median {usual:.2f}")
    for when, version in moves:
        during = [a.work for a in answers if a.answered > when and a.answered - a.work < when + 5]
        first = min((a.answered for a in answers if a.version == version and a.answered > when), default=None)
        seen = "never served" if first is None else f"first video {first - when:.1f} s later"
        print(
            f"alias to version {version} at {when - begun:.0f} s: {seen}; of the requests in the 5 s after, the slowest takes {max(during) / usual:.2f} medians"
        )
    calm = [a.work / usual for a in answers if not any(-1 < a.answered - when < 10 for when, _ in moves)]
    print(
        f"elsewhere the slowest takes {max(calm):.2f} medians, 95 of 100 at most {sorted(calm)[int(0.95 * len(calm))]:.2f}"
    )
    print(
        "\n".join(
            line for line in metrics.splitlines() if line.startswith(("omnihuman_version", "omnihuman_jobs_total"))
        )
    )


def _print_switches(answers: list[Answer], moves: list[tuple[float, int]]) -> None:
    wrong = [answer.wrong for answer in answers if answer.wrong]
    print(f"{len(answers)} requests, {len(wrong)} failed {sorted(set(wrong))}; {len(moves)} switches")
    made = sorted((answer for answer in answers if not answer.wrong), key=lambda answer: answer.answered)
    usual, means, slowest = median(answer.work for answer in made), [], []
    for when, version in moves:
        first = min((a.answered for a in made if a.version == version and a.answered > when), default=None)
        during = [a.work for a in made if first is not None and a.answered > when and a.answered - a.work < first]
        before = [a.work for a in made if a.answered <= when][-len(during) :]
        if first is None or not during or len(before) < len(during):
            continue
        means.append(sum(during) / sum(before))
        slowest.append(max(during) / max(before))
        print(
            f"to version {version}: served {first - when:.1f} s later; {len(during)} requests meanwhile take {means[-1]:.2f} of as many before, the slowest "
            f"{slowest[-1]:.2f} of the slowest before, {max(during) / usual:.2f} medians of all"
        )
    print(
        f"seconds of work, median {usual:.2f}; over the switches the median of the mean's ratio is {median(means):.2f}, of the slowest's {median(slowest):.2f}"
    )


def _draw(
    answers: list[Answer], moves: list[tuple[float, int]], begun: float, replaced: list[float], path: Path
) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    for version, colour in ((1, "#4477aa"), (2, "#228833"), (3, "#aa3377")):
        own = [answer for answer in answers if answer.version == version]
        axes.scatter(
            [a.answered - begun for a in own],
            [a.work for a in own],
            s=6,
            color=colour,
            label=f"by version {version} ({len(own)})",
        )
    for number, when in enumerate(replaced):
        axes.axvline(
            when - begun,
            ymax=0.06,
            color="#aa3377",
            label=f"canary's, made again ({len(replaced)})" if number == 0 else None,
        )
    for when, version in moves:
        axes.axvline(when - begun, color="black", lw=0.8, ls="--")
        axes.annotate(
            f" champion: {version}", (when - begun, 1), xycoords=("data", "axes fraction"), va="top", fontsize=8
        )
    failed = sum(bool(answer.wrong) for answer in answers)
    axes.set(
        xlabel="seconds", ylabel="seconds of work", ylim=(0, None), title=f"{len(answers)} requests, {failed} failed"
    )
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=90)


if __name__ == "__main__":
    main()
