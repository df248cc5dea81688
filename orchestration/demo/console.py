"""One line per asset and a bar inside long ones; everything else that processes print goes to log files."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tracking.progress import read_progress

PLAIN_INTERVAL = 30.0  # seconds between progress lines where there is no terminal


class DemoConsole:
    """Writes to the real standard output, also while file descriptors 1 and 2 point at a log."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        self.console = Console(file=self._out, width=None if sys.stdout.isatty() else 120, highlight=False)

    def line(self, text: str) -> None:
        """Print one line, with rich markup."""
        self.console.print(text)

    @contextmanager
    def step(self, label: str, progress_file: Path, log: Path) -> Iterator[None]:
        """Show `label` with a live bar while the block runs; its own output is appended to `log`."""
        started = time.monotonic()
        stop = threading.Event()
        progress_file.unlink(missing_ok=True)
        watcher = threading.Thread(target=self._watch, args=(label, progress_file, stop), daemon=True)
        watcher.start()
        try:
            with _redirected(log):
                yield
        except BaseException:  # also Ctrl-C: the bar must end, and the line stand, before anything else is printed
            stop.set()
            watcher.join()
            self.line(f"  [red]failed[/red]  {label:<34} {time.monotonic() - started:7.1f} s   log {log}")
            raise
        stop.set()
        watcher.join()
        self.line(f"  [green]done[/green]    {label:<34} {time.monotonic() - started:7.1f} s")

    def _watch(self, label: str, path: Path, stop: threading.Event) -> None:
        if self.console.is_terminal:
            self._bar(label, path, stop)
            return
        last = time.monotonic()
        while not stop.wait(1.0):
            state = read_progress(path)
            if state and time.monotonic() - last >= PLAIN_INTERVAL:
                last = time.monotonic()
                self.line(f"          {label:<34} {state.done}/{state.total}  {state.note}")

    def _bar(self, label: str, path: Path, stop: threading.Event) -> None:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task(f"{label:<34}", total=None, note="")
            while not stop.wait(0.3):
                state = read_progress(path)
                if state:
                    bar.update(task, total=state.total, completed=state.done, note=state.note)


@contextmanager
def _redirected(log: Path) -> Iterator[None]:
    """Point file descriptors 1 and 2, this process's and its children's, at `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, handle in enumerate(saved, start=1):
            os.dup2(handle, number)
            os.close(handle)
