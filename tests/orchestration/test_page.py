"""`omnihuman page` in a headless browser: files in, video and measures out, screenshots before and after, nothing from outside."""

import os
import signal
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from media import probe_clip, read_audio
from omnihuman.exports import read_provenance
from tests.orchestration.serving import BROWSER, RATE, browser_page, save_inputs, save_model, started
from tests.provenance.cases import save_mp4, save_png, signed
from tracking.registry import Registry
from tracking.tracker import Tracker

pytest.importorskip("gradio", reason="run `make page`")
sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.end_to_end, pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on the PATH")]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("home")
    registry = Registry(Tracker(f"sqlite:///{place / 'var' / 'mlflow.db'}"))
    registry.register("omnihuman-student", save_model(place / "model"))
    registry.set_alias("omnihuman-student", "champion", 1)
    save_inputs(place / "files")
    (place / "tmp").mkdir()
    return place


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    """Where screenshots land: `$OMNIHUMAN_SCREENSHOTS`, by default a temporary folder."""
    return Path(os.environ.get("OMNIHUMAN_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))


@pytest.fixture
def window() -> Iterator["sync_api.Page"]:  # type: ignore[name-defined]
    with browser_page(1320, 900) as page:
        yield page


def upload(page: "sync_api.Page", element: str, path: Path) -> None:  # type: ignore[name-defined]
    page.locator(f"#{element} input[type=file]").first.set_input_files(path)


def make_video(page: "sync_api.Page", address: str, files: Path, shots: Path) -> bytes:  # type: ignore[name-defined]
    """Upload, press the button, and return the video's bytes; screenshots before and after."""
    page.goto(address)
    page.get_by_role("button", name="Make the video").wait_for()
    upload(page, "image", files / "face.png")
    upload(page, "audio", files / "voice.wav")
    page.locator("#image img").wait_for()
    page.locator("#audio").get_by_text("1x").first.wait_for()
    page.screenshot(path=shots / "page_before.png", full_page=True)
    page.get_by_role("button", name="Make the video").click()
    page.locator("#measures td.value").first.wait_for()
    page.wait_for_function("document.querySelector('#video video')?.currentTime > 0.2")  # it plays by itself
    page.screenshot(path=shots / "page_after.png", full_page=True)
    source = page.locator("#video video").get_attribute("src")
    assert source is not None
    return page.request.get(urllib.parse.urljoin(address, source)).body()


def choose_and_crop(page: "sync_api.Page", address: str, shots: Path) -> tuple[int, int]:  # type: ignore[name-defined]
    """Click one of the people that are offered, and two corners on the picture; returns the size of what it is then."""
    page.goto(address)
    page.locator("#examples img").nth(1).click()
    page.locator("#audio").get_by_text("1x").first.wait_for()
    page.wait_for_function("document.querySelector('#prompt textarea').value.startsWith('A person with')")
    page.locator("#crop").get_by_text("Crop the picture").click()
    picture = page.locator("#cropper img")
    picture.wait_for()
    whole = picture.bounding_box()
    assert whole is not None
    for share in (0.25, 0.8):
        said = page.locator("#crop").inner_text()
        picture.click(position={"x": share * whole["width"], "y": share * whole["height"]})
        page.wait_for_function("said => document.querySelector('#crop').innerText !== said", arg=said)
        page.screenshot(path=shots / f"page_crop_{share}.png", full_page=True)
    page.wait_for_function("document.querySelector('#image img')?.naturalWidth < 64")
    return tuple(page.locator("#image img").evaluate("i => [i.naturalWidth, i.naturalHeight]"))


def test_a_picture_and_a_voice_become_a_video_beside_its_measures(home, shots, window, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(home / "tmp"))
    asked, failed = set(), []
    window.on(
        "request",
        lambda request: (
            asked.add(urllib.parse.urlsplit(request.url).hostname) if request.url.startswith("http") else None
        ),
    )
    window.on("pageerror", lambda error: failed.append(str(error)))
    with started(home, "page", "--port", "0", "--longest", "5") as (process, address):
        assert choose_and_crop(window, address, shots) == (35, 35), "from a quarter to four fifths of 64 pixels"
        (tmp_path / "made.mp4").write_bytes(make_video(window, address, home / "files", shots))
        measures = window.locator("#measures").inner_text()
        status = window.locator("#status").inner_text()
        window.goto(address)
        upload(window, "image", home / "files" / "nobody.png")
        window.locator("#image img").wait_for()
        window.get_by_role("button", name="Make the video").click()
        window.get_by_text("nobody.png shows no face").first.wait_for()
        window.screenshot(path=shots / "page_refused.png", full_page=True)
        assert any((home / "tmp").glob("omnihuman-page-*"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 0
    found = probe_clip(tmp_path / "made.mp4")
    assert (found.frames, found.fps) == (25, 16.0) and len(read_audio(tmp_path / "made.mp4")) == 25 * RATE // 16
    assert read_provenance(tmp_path / "made.mp4")["model"] == "omnihuman-student version 1"
    assert (
        "mouth follows the sound" in measures
        and "colours differ from the picture" in measures
        and "1.56 s of video (25 frames)" in status
    )
    assert asked == {"127.0.0.1"} and not failed
    assert not any((home / "tmp").glob("omnihuman-page-*"))  # uploads and videos go with the page
    assert {"page_before.png", "page_after.png"} <= {path.name for path in shots.iterdir()}


def test_the_drop_zone_says_whether_we_made_a_file(home, window, shots, tmp_path):
    """Untouched, changed by one byte, and nobody's."""
    ours, none, changed = signed(save_mp4(tmp_path / "ours.mp4")), save_png(tmp_path / "none.png"), tmp_path / "x.mp4"
    data = bytearray(ours.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    changed.write_bytes(data)
    with started(home, "page", "--port", "0") as (_, address):
        for path, words in (
            (ours, "made by us and untouched"),
            (changed, "made by us and changed since"),
            (none, "no mark found"),
        ):
            window.goto(address)
            window.locator("#verify").get_by_text("Did we make this file?").first.click()
            upload(window, "verify-file", path)
            window.locator("#verify-answer").get_by_text(words).wait_for()
            window.screenshot(path=shots / f"page_verify_{path.stem}.png", full_page=True)
