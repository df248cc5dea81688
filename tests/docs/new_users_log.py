"""A new user's log: every command that README.md and docs/guide print, run as it stands, with what came of it.

`python -m tests.docs.new_users_log [--all] [--home HOME] [--pages PAGE ...]` clones the project into a temporary folder and works there, in the clone
itself or in the finished home that is named; `--all` also runs what takes minutes, `make demo` first of all. Each command's outcome is said as it ends,
the log at the end; it says of each command that it does not run why not. `tests/orchestration/test_demo.py` runs the short ones in the home of its tiny demo, and
docs/results/2026-11-29-new-users-log.md has the last one of all of them.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import soundfile
import torch
from diffusers import WanTransformer3DModel
from PIL import Image
from safetensors.torch import save_file

from evaluation.benchmark.puppet_benchmark import load_puppets
from media import encode_clip, sha256_of_file, write_atomically
from omnihuman.wan.dialects.files import convert_file
from puppets import render

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", flags=re.S | re.M)  # commands stand in fences that name no language
LOUD = 3  # last lines of a command that failed
PERSON = 90_000_001
# What no log runs, by the beginning of the command, and why.
SKIPPED = {
    "make test": "every test there is; CI runs them",
    "make page": "installs packages",
    "make people-and-text": "installs packages",
    "export OMNIHUMAN_PROFILE=people": "a shell's own; what follows runs in this log's home and profile",
    ".venv/bin/pip": "installs packages",
    "pip install": "installs packages",
    "OMNIHUMAN_DAGSTER_CHART": "needs Dagster's Helm chart",
    "omnihuman compare --baseline A=a": "needs published networks: tests/orchestration/test_compare.py",
    "omnihuman compare --truth": "needs videos of people and packages for them: tests/evaluation/test_real_faces.py",
    "omnihuman plan wan2.1-14b": "three minutes of a core of its own or more: tests/docs/test_plan_page.py",
    "export OMNIHUMAN_WATERMARK=": "a shell's own; it names weights that the line before installs",
    ".venv/bin/python -m model_signing": "names a registered version's folder: tests/provenance/test_weights.py",
    "python -m benchmarks.gpu": "measures a card: tests/benchmarks/test_gpu.py",
    ".venv/bin/omnihuman rollback": "needs a champion before this one: tests/orchestration/test_promoting.py",
    ".venv/bin/omnihuman page": "needs Gradio (`make page`): tests/orchestration/test_page.py",
}
# What takes minutes, serves until it is ended, or changes the home that it works in.
LONG = (
    "make demo", ".venv/bin/omnihuman generate --quantise", ".venv/bin/omnihuman demo", ".venv/bin/omnihuman ingest", ".venv/bin/omnihuman drift", ".venv/bin/omnihuman driving",
    ".venv/bin/python -m assets streaming_student", ".venv/bin/omnihuman generate --model data/streaming_student",
    "omnihuman subsets accuracy", "python -m benchmarks.gpu", ".venv/bin/omnihuman curate", ".venv/bin/omnihuman generate --image face.png --audio voice.wav --model", ".venv/bin/omnihuman serve", "curl",
    "omnihuman restore 3", "omnihuman push", ".venv/bin/omnihuman promote 3", ".venv/bin/omnihuman register",
    ".venv/bin/omnihuman testset build --kind packaged", "omnihuman compare --baseline NAME", "omnihuman plan", ".venv/bin/omnihuman verify",
)  # fmt: skip
QUICK = ".venv/bin/omnihuman promote 3 --dry-run"


@dataclass(frozen=True)
class Command:
    """A line of a page; `why` says why it is not run, empty where it is."""

    page: str
    text: str
    why: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came of a command: its exit code, seconds, and the end of what it printed."""

    command: Command
    code: int
    seconds: float
    end: str


Runner = Callable[[Sequence[str], Path, Mapping[str, str]], "subprocess.CompletedProcess[str]"]


def printed_commands(with_long: bool) -> list[Command]:
    """Every command of README.md and docs/guide, in the order in which they are read."""
    found = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))):
        for language, block in FENCE.findall(path.read_text()):
            for line in [] if language else block.replace("\\\n", " ").splitlines():
                for text in filter(None, re.sub(r"\s+#.*$", "", line).strip().split(" && ")):
                    found.append(Command(path.relative_to(ROOT).as_posix(), text, _why_not(text, with_long)))
    return found


def _why_not(text: str, with_long: bool) -> str:
    dry = "--dry-run" in text.split()
    for beginning, why in () if dry else SKIPPED.items():
        if text.startswith(beginning):
            return why
    if with_long or not text.startswith(LONG) or text.startswith(QUICK):
        return ""
    return "takes minutes, serves, or changes its home; --all runs it"


def own_files(place: Path) -> None:
    """Make in `place` what a reader has: a picture, voices, a pose video, clips, a small LoRA and a small Wan of other tools."""
    weights_of_other_tools(place)
    person = render(PERSON, frames=49)
    Image.fromarray(person.frames[0]).save(place / "face.png")
    for name in ("speech", "voice", "a", "b"):
        soundfile.write(place / f"{name}.wav", person.audio, 16_000)
    dancer = render(PERSON, frames=8 * 16 + 1)
    write_atomically(place / "dance.mp4", encode_clip(dancer.frames, 16.0, dancer.audio, 16_000))
    (place / "clips").mkdir(exist_ok=True)
    write_atomically(place / "clips" / "mine.mp4", encode_clip(person.frames, 16.0, person.audio, 16_000))
    for name, seed in (("ann", PERSON + 1), ("ben", PERSON + 2)):
        talker = render(seed, frames=25)
        write_atomically(
            place / "talkers" / name / "monday.mp4", encode_clip(talker.frames, 16.0, talker.audio, 16_000)
        )


def weights_of_other_tools(place: Path) -> None:
    """A LoRA in kohya's keys, and a transformer as Wan's own repository lays it out."""
    stem = "lora_unet_blocks_0_self_attn_q"
    lora = {f"{stem}.lora_down.weight": torch.ones(2, 8), f"{stem}.lora_up.weight": torch.ones(8, 2)}
    save_file(lora | {f"{stem}.alpha": torch.tensor(2.0)}, place / "lora.safetensors")
    sizes: dict[str, Any] = {"num_layers": 1, "num_attention_heads": 1, "attention_head_dim": 8, "ffn_dim": 16}
    WanTransformer3DModel(**sizes, text_dim=8, freq_dim=8).save_pretrained(place / "wan")
    convert_file(place / "wan", "original", place / "Wan2.1-T2V-1.3B")


def own_words(home: Path, place: Path) -> dict[str, str]:
    """What stands in the commands for something of the reader's own, to what this log puts there, as `home` is now."""
    sample = sha256_of_file(place / "talkers" / "ann" / "monday.mp4")[:16]
    subsets = next((home / "data" / "filtered_subsets").glob("*/subsets.parquet"), None)
    clip = "0123456789abcdef" if subsets is None else str(pd.read_parquet(subsets)["clip_id"].iloc[0])
    snapshot = home / "data" / "training_snapshot" / "snapshot.json"
    digest = json.loads(snapshot.read_text())["digest"][:6] if snapshot.is_file() else "0d7c1f"
    words = {
        "CLIP_ID": clip,
        "0123456789abcdef": clip,
        "0d7c1f": digest,
        "FOLDER": "clips",
        "MY_CLIPS": "talkers",
        "SAMPLE": sample,
        "TEXT": "too dark",
        "3": "1",
        "NAME=FOLDER": f"Real={place / 'real'}",
    }
    return words | {"../code": str(place / "code"), "lineage.html": str(place / "lineage.html")}


def another_methods_videos(home: Path, folder: Path) -> None:
    """A video for each sample of the home's puppet benchmark, here the real ones: what `compare --baseline` takes."""
    benchmark = load_puppets(home / "data" / "benchmark_sets" / "puppets")
    for name, frames, sound in zip(benchmark.names, benchmark.frames.numpy(), benchmark.audio.numpy(), strict=True):
        write_atomically(folder / f"{name}.mp4", encode_clip(frames, benchmark.fps, sound))


def run_all(commands: Sequence[Command], home: Path, place: Path, runner: Runner) -> Iterator[Outcome]:
    """Run what is to be run, each in the folder `place`; servers until their page's commands end.

    Args:
        commands: of `printed_commands`.
        home: `OMNIHUMAN_HOME`.
        place: where the reader's own files lie.
        runner: runs the words of a command in a folder under variables.
    """
    own_files(place)
    environment = {"OMNIHUMAN_HOME": str(home)}
    page, job, number = "", "", 0
    with ExitStack() as servers:
        for command in commands:
            if command.why:
                continue
            if command.page != page:
                servers.close()
                page = command.page
            number += 1
            words = own_words(home, place) | {"../past": str(place / f"past-{number}")}
            if "register" in command.text:
                words["FOLDER"] = str(home / "data" / "distilled_student")
            if "NAME=FOLDER" in command.text:
                another_methods_videos(home, place / "real")
            text = [words.get(word, word) for word in shlex.split(command.text)]
            text = [word.replace("/ID", f"/{job}") for word in text]
            text = [
                str(home / word.replace("SAMPLE", words["SAMPLE"])) if word.startswith("data/") else word
                for word in text
            ]
            began = time.monotonic()
            if "serve" in text:
                servers.close()  # of the same page: whoever starts another has ended the first
                serves = servers.enter_context(_serving(text, place, environment))
                yield Outcome(command, int(not serves), time.monotonic() - began, "serves" if serves else "ended")
                continue
            if text[0] == "curl" and text[-1].endswith("/content"):
                _await_video(text[-1].removesuffix("/content"))
            done = runner(text, place, environment)
            answer = _answer(text, done.stdout, place)
            job = answer.get("id", job)
            printed = (done.stdout + done.stderr).strip().splitlines()
            refused = bool(answer.get("error"))
            yield Outcome(
                command, done.returncode or int(refused), time.monotonic() - began, "\n".join(printed[-LOUD:])
            )


@contextmanager
def _serving(words: Sequence[str], place: Path, environment: Mapping[str, str]) -> Iterator[bool]:
    """Whether it came to serve."""
    with subprocess.Popen(words, cwd=place, env=os.environ | environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield any("Ctrl-C ends it" in line for line in process.stdout)
        finally:
            process.terminate()


def _answer(words: Sequence[str], printed: str, place: Path) -> dict[str, Any]:
    """What a server said to curl as JSON; empty for a video, and for any other command."""
    kept = place / words[words.index("-o") + 1] if words[0] == "curl" and "-o" in words else None
    said = kept.read_bytes() if kept is not None and kept.is_file() else printed.encode()
    found: dict[str, Any] = json.loads(said) if words[0] == "curl" and said.startswith(b"{") else {}
    return found


def _await_video(job: str, seconds: float = 1800.0) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        asked = subprocess.run(["curl", "-s", job], capture_output=True, text=True, check=False)
        if json.loads(asked.stdout or "{}").get("status") in ("completed", "failed"):
            return
        time.sleep(1)


def as_lines(commands: Sequence[Command], outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The log: every command with what came of it, or with why it was not run."""
    came = {id(outcome.command): outcome for outcome in outcomes}
    for command in commands:
        outcome = came.get(id(command))
        if outcome is None:
            yield f"skipped          {command.page}: {command.text}\n                 {command.why}"
        else:
            yield from _said(outcome)
    ran, failed = len(outcomes), sum(outcome.code != 0 for outcome in outcomes)
    yield f"{len(commands)} commands: {ran} run, {failed} failed, {len(commands) - ran} skipped"


def _said(outcome: Outcome) -> Iterator[str]:
    mark = "ok    " if outcome.code == 0 else "FAILED"
    yield f"{mark} {outcome.seconds:7.1f} s {outcome.command.page}: {outcome.command.text}"
    if outcome.code:
        yield from (f"                 {line}" for line in outcome.end.splitlines())


def _run(words: Sequence[str], place: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    own = [f".venv/bin/{words[0]}", *words[1:]] if words[0] in ("omnihuman", "python") else list(words)
    return subprocess.run(own, cwd=place, env=os.environ | environment, capture_output=True, text=True, check=False)


def _lend_environment(clone: Path) -> None:
    """Give the clone the environment that runs this: an install takes minutes, and `make` would begin with one, were the clone's files younger.

    Raises:
        SystemExit: it was not made by `make`.
    """
    (clone / ".venv").symlink_to(Path(sys.prefix))
    stamps = [clone / ".venv" / name for name in (".installed", ".installed-tests")]
    if not all(stamp.exists() for stamp in stamps):
        sys.exit(f"{sys.prefix} was not made by `make`; run `make lint` once")
    installed = min(stamp.stat().st_mtime for stamp in stamps) - 1
    for name in ("pyproject.toml", "constraints.txt"):
        os.utime(clone / name, (installed, installed))


def main() -> int:
    """Clone, run, print the log; returns 1 where a command failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="what takes minutes too")
    parser.add_argument("--home", type=Path, help="a finished home; by default the clone itself, which --all fills")
    parser.add_argument(
        "--pages", nargs="+", metavar="PAGE", help="these alone, such as README.md docs/guide/serving.md"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="omnihuman-new-user-") as scratch:
        clone = Path(scratch) / "project"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        _lend_environment(clone)
        os.environ["PYTHONPATH"] = str(clone)
        commands = [c for c in printed_commands(given.all) if given.pages is None or c.page in given.pages]
        outcomes = []
        for outcome in run_all(commands, (given.home or clone).resolve(), clone, _run):
            outcomes.append(outcome)
            print("\n".join(_said(outcome)), file=sys.stderr, flush=True)
        print("\n".join(as_lines(commands, outcomes)))
    return int(any(outcome.code for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
