"""A build: a checkout, its Python, and how something is run in it."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media.user_error import UserError

ROOT = Path(__file__).resolve().parents[2]
START = ROOT / "benchmarks" / "builds" / "sides" / "start.py"
METER = ROOT / "benchmarks" / "builds" / "meter.py"
SIDES = "benchmarks.builds.sides"
PATIENCE = 60.0  # seconds to end in when this process is interrupted


class NoBuild(UserError):
    """A checkout that cannot be measured; the message says what it lacks."""


class CannotRun(Exception):
    """Something failed in a build; the message is the last line that it printed."""


@dataclass(frozen=True)
class Usage:
    """What a command used with all that it started: seconds of the clock and of cores, the largest process in GiB."""

    wall: float
    cpu: float
    gib: float


@dataclass(frozen=True)
class Build:
    """A checkout of this project.

    Attributes:
        name: of its column.
        root: folder of the checkout.
        python: the interpreter that has its packages.
    """

    name: str
    root: Path
    python: Path

    @property
    def commit(self) -> str:
        """Its commit; with `-dirty-` and a digest of them where it has changes that are in no commit.

        Raises:
            NoBuild: it is no clone.
        """
        head = self._git("rev-parse", "HEAD").decode().strip()
        changes = self.changes
        return f"{head}-dirty-{changes}" if changes else head

    @property
    def changes(self) -> str:
        """Digest of what is in no commit, "" where all is: changes of tracked files, and Python files that are not tracked.

        Raises:
            NoBuild: it is no clone.
        """
        # Whatever a person's configuration of git says: the same bytes of the same changes.
        diff = self._git("diff", "HEAD", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv")
        names = self._git("ls-files", "--others", "--exclude-standard", "-z", "--", "*.py").decode().split("\0")
        # Not an editor's dangling links.
        added = sorted(path for path in (self.root / name for name in names if name) if path.is_file())
        if not diff and not added:
            return ""
        digest = hashlib.sha256(diff)
        for path in added:
            digest.update(f"\0{path.relative_to(self.root)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}".encode())
        return digest.hexdigest()[:12]

    def _git(self, *command: str) -> bytes:
        done = subprocess.run(["git", "-C", str(self.root), *command], capture_output=True)
        if done.returncode:
            raise NoBuild(f"{self.root} is no clone of this project: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def environment(self, **more: str) -> dict[str, str]:
        """Of this process, less what names another home or profile, with this build's modules first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OMNIHUMAN_")}
        own = {"PYTHONPATH": str(self.root), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": ""}
        return kept | own | more

    def measure(self, command: list[str], log: Path, folder: Path | None = None, **variables: str) -> Usage:
        """Run a command in the checkout, or in `folder`, and say what it used.

        Raises:
            CannotRun: it ended with another code than 0.
        """
        return measure(command, folder or self.root, self.environment(**variables), log)

    def side(self, module: str, *arguments: object, log: Path, **variables: str) -> None:
        """Run a module of `sides` in this build.

        Raises:
            CannotRun: it failed.
        """
        self.measure(self.side_command(module, *arguments), log, **variables)

    def side_command(self, module: str, *arguments: object) -> list[str]:
        """The argument list that runs it."""
        start = [str(self.python), "-W", "ignore", "-P", str(START), f"{SIDES}.{module}"]
        return [*start, *map(str, arguments)]

    def answer(self, module: str, first: object, *arguments: object, log: Path, **variables: str) -> dict[str, Any]:
        """What a module of `sides` writes into the file that its second argument names.

        Raises:
            CannotRun: it failed.
        """
        with tempfile.TemporaryDirectory() as folder:
            result = Path(folder) / "result.json"
            self.side(module, first, result, *arguments, log=log, **variables)
            return json.loads(result.read_text())


def measure(command: list[str], folder: Path, environment: dict[str, str], log: Path) -> Usage:
    """Run a command under the meter; what it prints is appended to `log`. Interrupted, all that it started is ended first.

    Raises:
        CannotRun: it ended with another code than 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, log.open("ab") as output:
        result, begin = Path(scratch) / "used.json", output.tell()
        # In a session of its own: an interruption from a terminal reaches what is measured once, through the meter.
        meter = subprocess.Popen(
            [sys.executable, "-I", str(METER), str(result), *command],
            cwd=folder, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            meter.wait()
        finally:
            _end(meter)
        used = json.loads(result.read_text()) if result.exists() else {"code": meter.returncode}
        if used["code"]:
            raise CannotRun(f"{Path(command[0]).name} ended with {used['code']}: {_last_line(log, begin)} (log: {log})")
    return Usage(used["wall"], used["cpu"], used["gib"])


def _end(meter: "subprocess.Popen[bytes]") -> None:
    for _ in range(2):
        if meter.poll() is None:
            meter.send_signal(signal.SIGTERM)
            try:
                meter.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                continue


def _last_line(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def before_build(checkout: Path) -> Build:
    """The build that is compared with.

    Raises:
        NoBuild: it has no Python of its own.
    """
    root = checkout.resolve()
    python = root / ".venv" / "bin" / "python"
    if not python.exists():
        raise NoBuild(f"{root} has no .venv: run `make .venv/.installed` there first")
    return Build("before", root, python)


def this_build() -> Build:
    """This checkout, in the Python that runs."""
    return Build("now", ROOT, Path(sys.executable))
