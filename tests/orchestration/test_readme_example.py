"""The README's example in its four ways, through a registered champion: a packaged face and packaged speech to three seconds of
video by command line, page and server; in Python a puppet, by the blocks that the pages print.

By default the champion is an untrained model. `OMNIHUMAN_EXAMPLE_HOME=FOLDER` takes that of a workspace, which the page and the
server write into (`var/`), and `OMNIHUMAN_EXAMPLE_VIDEOS=FOLDER` keeps the videos. Without the two packages it is skipped.
"""

import os
import re
import shutil
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
from provenance.verify import verify_files
from serving.example import Example, fetch_example
from serving.inputs import GenerateError
from tests import forked
from tests.orchestration.serving import RATE, ROOT, browser_page, save_model, started, wait
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


def check(path: Path, frames: int = SECONDS * FPS, spare: int = 0, signed: bool = True) -> None:
    """Both streams are as long as was asked for, the sound to `spare` samples, and it is the voice, not silence; and the file says of itself that
    we made it, by its signature and in its pictures."""
    if signed:
        assert [layer.outcome for layer in verify_files([path])[0].layers] == [UNTOUCHED, UNTOUCHED]
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


def test_by_command_line(example, home, videos):
    made = videos / "command_line.mp4"
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
    environment = os.environ | {"OMNIHUMAN_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", "orchestration.commands.cli", "generate", *map(str, arguments)]
    ran = forked.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0 and ran.stdout.strip() == str(made), ran.stderr
    check(made)
    assert by_champion(made)


def python_block(page: str, made: str) -> str:
    """The block of Python of a page that writes this file."""
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(), flags=re.S | re.M)
    (block,) = [block for block in blocks if made in block]
    return block


@pytest.mark.parametrize(
    ("page", "made", "frames", "signed"),
    [("README.md", "talking.mp4", 17, True), ("docs/guide/generating.md", "long.mp4", 49, False)],
)
def test_in_python_as_a_page_prints_it(page, made, frames, signed, home, videos, monkeypatch):
    monkeypatch.chdir(home)
    exec(compile(python_block(page, made), page, "exec"), {"__name__": "__main__"})
    shutil.copy(made, videos)
    check(videos / made, frames=frames, spare=RATE // 1000, signed=signed)  # `encode_clip` counts in milliseconds


def test_on_the_page(example, home, videos, tmp_path):
    pytest.importorskip("gradio", reason="run `make page`")
    picture = tmp_path / "face.png"
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
        write_atomically(videos / "page.mp4", page.request.get(urllib.parse.urljoin(address, source)).body())
        page.screenshot(path=videos / "page.png", full_page=True)
    check(videos / "page.mp4")
    assert by_champion(videos / "page.mp4")


def test_over_http(example, home, videos):
    pytest.importorskip("python_multipart")
    with started(home, "serve", "--port", "0") as (_, address):
        with open(example.image, "rb") as face, open(example.audio, "rb") as voice:
            settings = {"seconds": SECONDS}
            asked = requests.post(
                f"{address}/v1/videos", files={"image": face, "audio": voice}, data=settings, timeout=60
            )
        assert asked.status_code == 200, asked.text
        job = wait(address, asked.json()["id"], {"completed", "failed"})
        assert job["status"] == "completed", job
        write_atomically(
            videos / "server.mp4", requests.get(f"{address}/v1/videos/{job['id']}/content", timeout=10).content
        )
    check(videos / "server.mp4")
    assert by_champion(videos / "server.mp4")
