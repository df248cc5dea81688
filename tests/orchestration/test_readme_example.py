"""The README's example in its four ways, through a registered champion: a packaged face and packaged speech to three seconds of
video by command line, page and server; in Python a puppet, by the blocks that the pages print.

By default the champion is an untrained model. `OMNIHUMAN_EXAMPLE_HOME=FOLDER` takes that of a workspace, which the page and the
server write into (`var/`), and `OMNIHUMAN_EXAMPLE_VIDEOS=FOLDER` keeps the videos. Without the two packages it is skipped.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
from pathlib import Path

import pytest
import requests
from PIL import Image

from media import probe_clip, read_audio, write_atomically
from media.decode import decode_clip
from omnihuman.exports import read_provenance
from provenance.outcomes import UNTOUCHED
from serving.example import Example, fetch_example
from serving.inputs import GenerateError
from tests import forked
from tests.orchestration.serving import RATE, ROOT, browser_page, save_model, started, wait
from tests.provenance.cases import ask_a_public_reader
from tracking.registry import Registry
from tracking.tracker import Tracker

pytestmark = pytest.mark.end_to_end
SECONDS, FPS = 3, 16


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Example:
    try:
        return fetch_example(tmp_path_factory.mktemp("example"))
    except GenerateError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    if given := os.environ.get("OMNIHUMAN_EXAMPLE_HOME"):
        return Path(given)
    place = tmp_path_factory.mktemp("home")
    registry = Registry(Tracker(f"sqlite:///{place / 'var' / 'mlflow.db'}"))
    for name, steps in (("omnihuman-student", 1), ("omnihuman-teacher", 4)):
        registry.register(name, save_model(place / name, steps))
        registry.set_alias(name, "champion", 1)
    return place


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    return Path(os.environ.get("OMNIHUMAN_EXAMPLE_VIDEOS") or tmp_path_factory.mktemp("videos"))


def check(path: Path, frames: int = SECONDS * FPS, spare: int = 0) -> None:
    """Both streams are as long as was asked for, the sound to `spare` samples, and it is the voice, not silence."""
    found, heard = probe_clip(path), read_audio(path, RATE)
    assert (found.frames, found.fps, found.video_codec, found.sound.codec) == (frames, FPS, "h264", "aac")
    assert 0 <= len(heard) - frames * RATE // FPS <= spare and abs(heard).max() > 0.05


def by_champion(path: Path) -> bool:
    said = read_provenance(path)
    return said["model"].startswith("omnihuman-student version ") and said["conditions"]["on"] == [
        "text",
        "reference",
        "audio",
    ]


def command(home: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`omnihuman` in a process of its own."""
    environment = os.environ | {"OMNIHUMAN_HOME": str(home), "PYTHONPATH": str(ROOT)}
    started_by = [sys.executable, "-W", "ignore", "-m", "orchestration.commands.cli"]
    return forked.run([*started_by, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_a_video_of_each_of_the_four_ways_in_is_verified_by_a_process_that_made_none(
    example, home, videos, tmp_path, monkeypatch
):
    pytest.importorskip("python_multipart")
    with_page = importlib.util.find_spec("gradio") is not None
    made = [
        by_command_line(example, home, videos / "command_line.mp4"),
        over_http(example, home, videos / "server.mp4"),
        *([on_the_page(example, home, videos / "page.mp4", tmp_path / "face.png")] if with_page else []),
    ]
    for path in made:
        check(path)
        assert by_champion(path)
    made.append(in_python("README.md", "talking.mp4", home, videos, monkeypatch))
    check(made[-1], frames=17, spare=RATE // 1000)  # `encode_clip` counts in milliseconds
    done = command(home, "verify", "--json", *made)
    assert done.returncode == 0, done.stderr
    said = {
        row["file"]: [(layer["layer"], layer["outcome"]) for layer in row["layers"]] for row in json.loads(done.stdout)
    }
    assert said == {str(path): [("signature", UNTOUCHED), ("watermark", UNTOUCHED)] for path in made}
    assert {ask_a_public_reader(path)["validation_state"] for path in made} == {"Valid"}
    if not with_page:
        pytest.skip("three ways were verified; the page's needs Gradio: run `make page`")


def by_command_line(example: Example, home: Path, made: Path) -> Path:
    arguments = [
        "--image",
        example.image,
        "--audio",
        example.audio,
        "--seconds",
        SECONDS,
        "-o",
        made,
    ]
    ran = command(home, "generate", *arguments)
    assert ran.returncode == 0 and ran.stdout.strip() == str(made), ran.stderr
    return made


def python_block(page: str, made: str) -> str:
    """The block of Python of a page that writes this file."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), flags=re.S | re.M)
    (block,) = [block for block in blocks if made in block]
    return block


def in_python(page: str, made: str, home: Path, videos: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the block of Python of a page writes, as it stands."""
    with monkeypatch.context() as inside:
        inside.chdir(home)
        exec(compile(python_block(page, made), page, "exec"), {"__name__": "__main__"})
    return shutil.copy(home / made, videos / made)


def test_a_long_video_in_python_as_its_page_prints_it(home, videos, monkeypatch):
    made = in_python("docs/guide/generating.md", "long.mp4", home, videos, monkeypatch)
    check(made, frames=49, spare=RATE // 1000)


def on_the_page(example: Example, home: Path, made: Path, picture: Path) -> Path:
    Image.fromarray(decode_clip(example.image, FPS, max_seconds=0.1).frames[0]).save(picture)
    with browser_page(1320, 900) as page, started(home, "page", "--port", "0") as (_, address):
        page.goto(address)
        for element, path in (("image", picture), ("audio", example.audio)):
            page.locator(f"#{element} input[type=file]").first.set_input_files(path)
        page.locator("#image img").wait_for()
        page.locator("#audio").get_by_text("1x").first.wait_for()
        page.locator("#settings").get_by_text("Settings").first.click()
        page.locator("#seconds input").fill(str(SECONDS))
        page.get_by_role("button", name="Make the video").click()
        page.locator("#measures td.value").first.wait_for()
        source = page.locator("#video video").get_attribute("src")
        assert source is not None
        write_atomically(made, page.request.get(urllib.parse.urljoin(address, source)).body())
        page.screenshot(path=made.with_suffix(".png"), full_page=True)
    return made


def over_http(example: Example, home: Path, made: Path) -> Path:
    with started(home, "serve", "--port", "0") as (_, address):
        with open(example.image, "rb") as face, open(example.audio, "rb") as voice:
            settings = {"seconds": SECONDS}
            asked = requests.post(
                f"{address}/v1/videos", files={"image": face, "audio": voice}, data=settings, timeout=60
            )
        assert asked.status_code == 200, asked.text
        job = wait(address, asked.json()["id"], {"completed", "failed"})
        assert job["status"] == "completed", job
        write_atomically(made, requests.get(f"{address}/v1/videos/{job['id']}/content", timeout=10).content)
    return made
