"""The live page in a headless browser: a picture and a voice in, a video that plays while it is made."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import pytest
import soundfile

from serving.live.settings import LiveSettings
from tests.orchestration.serving import BROWSER, browser_page
from tests.serving.live import PERSON, live_server, sound

pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.end_to_end, pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome on the PATH")]

SAMPLED = """() => {
  const video = document.querySelector("#video"), canvas = document.createElement("canvas");
  if (!video.videoWidth) return null;
  canvas.width = video.videoWidth; canvas.height = video.videoHeight;
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0, squares = 0;
  for (let i = 0; i < data.length; i += 4) { sum += data[i]; squares += data[i] * data[i]; }
  const count = data.length / 4, mean = sum / count;
  return {time: video.currentTime, width: video.videoWidth, spread: Math.sqrt(squares / count - mean * mean)};
}"""


@contextmanager
def filled_page(folder: Path) -> Iterator[Any]:
    """The page with a picture and three seconds of a voice chosen."""
    cv2.imwrite(str(folder / "face.png"), cv2.cvtColor(PERSON.frames[-1], cv2.COLOR_RGB2BGR))
    soundfile.write(folder / "voice.wav", sound(3.0), 16_000)
    with live_server(folder, LiveSettings()) as server, browser_page(1000, 700) as page:
        page.goto(f"http://127.0.0.1:{server.port}/live")
        page.set_input_files("#picture", folder / "face.png")
        page.set_input_files("#sound", folder / "voice.wav")
        yield page


def test_a_voice_is_spoken_while_it_comes_in(tmp_path):
    shots = Path(os.environ.get("OMNIHUMAN_SCREENSHOTS") or tmp_path)
    with filled_page(tmp_path) as page:
        page.click("#start")
        page.wait_for_function("document.querySelector('#video').currentTime > 0.3")
        first = page.evaluate(SAMPLED)
        page.screenshot(path=shots / "live.png")
        page.wait_for_function("document.querySelector('#said').textContent.includes('48 pictures')")
        page.wait_for_function("document.querySelector('#video').ended")
        last = page.evaluate(SAMPLED)
    assert first["width"] == 256 and first["spread"] > 10 and last["spread"] > 10
    assert last["time"] == pytest.approx(3.0, abs=0.25)


def test_a_voice_is_spoken_over_webrtc(tmp_path):
    pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")
    shots = Path(os.environ.get("OMNIHUMAN_SCREENSHOTS") or tmp_path)
    with filled_page(tmp_path) as page:
        page.select_option("#way", "webrtc")
        page.click("#start")
        page.wait_for_function("document.querySelector('#video').currentTime > 0.5")
        first = page.evaluate(SAMPLED)
        page.screenshot(path=shots / "live-webrtc.png")
        page.wait_for_function("/^[0-9]+ pictures/.test(document.querySelector('#said').textContent)")
        frames = int(page.text_content("#said").split()[0])
        page.wait_for_function("!document.querySelector('#start').disabled")
    assert first["width"] == 256 and first["spread"] > 10
    assert 44 <= frames <= 56  # 3 s at 16 a second, and the silence until `audio.done`


def test_a_start_without_a_picture_says_what_to_choose(tmp_path):
    with live_server(tmp_path, LiveSettings()) as server, browser_page(1000, 700) as page:
        page.goto(f"http://127.0.0.1:{server.port}/live")
        page.click("#start")
        assert "Choose a picture" in page.text_content("#said")
