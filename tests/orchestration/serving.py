"""A model folder, a face and a voice, services started as their own processes, and a browser, for the tests of page and server."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import soundfile
from PIL import Image

from media import encode_clip, write_atomically
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from puppets import render
from tests.forked import ForkedPopen
from training.stages.model import build_transformer

ROOT = Path(__file__).resolve().parents[2]
PROFILE = load_profile("laptop", ["transformer.num_layers=2"])
PUPPET = render(90_000_001, frames=25)
RATE = 16_000
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 100_000  # milliseconds of the browser


@contextmanager
def browser_page(width: int, height: int) -> Iterator[Any]:
    """A page of a headless browser; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if BROWSER is None:
        pytest.skip("no chromium or chrome on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


def save_model(folder: Path, steps: int = 1) -> Path:
    """An untrained pipeline of so many steps: it makes frames, not sense."""
    build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), steps).save_pretrained(folder, safe_serialization=True)
    return folder


def save_inputs(folder: Path, seconds: float = 25 / 16) -> Path:
    """face.png, nobody.png, voice.wav and pose.mp4."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PUPPET.frames[0]).save(folder / "face.png")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(folder / "nobody.png")
    voice = np.tile(PUPPET.audio, -(-int(seconds * RATE) // len(PUPPET.audio)))[: round(seconds * RATE)]
    soundfile.write(folder / "voice.wav", voice, RATE)
    write_atomically(folder / "pose.mp4", encode_clip(PUPPET.frames, 16.0, PUPPET.audio, RATE))
    return folder


def wait(address: str, name: str, statuses: set[str], segments: int = 0) -> dict:
    """The server's job as soon as its status is one of these and so many segments are done; a minute at most."""
    for _ in range(600):
        job = requests.get(f"{address}/v1/videos/{name}", timeout=10).json()
        if job["status"] in statuses and job["segments_done"] >= segments:
            return job
        time.sleep(0.1)
    raise AssertionError(job)


@contextmanager
def started(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`omnihuman ARGUMENTS` until the block ends; gives the process and the address that it printed."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"OMNIHUMAN_HOME": str(home), "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "orchestration.commands.cli", *arguments]
    with (
        open(home / "served.log", "ab") as log,
        ForkedPopen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            yield process, _address(process, home)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)


def _address(process: "subprocess.Popen[str]", home: Path) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        words = [word for word in line.replace(";", " ").split() if word.startswith("http://")]
        if words:
            return "/".join(words[0].split("/")[:3])
    raise AssertionError(f"no address; {(home / 'served.log').read_text()}")
