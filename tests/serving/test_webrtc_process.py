"""`omnihuman serve --live` with a session over WebRTC: it is answered, and a server that is told to end does not wait for who talks."""

import asyncio
import signal
import time
from urllib.parse import urlsplit

import pytest

pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")

import requests  # noqa: E402

from tests.orchestration.serving import save_model, started  # noqa: E402
from tests.serving.live import sound, streaming_model  # noqa: E402
from tests.serving.webrtc import call, until  # noqa: E402

pytestmark = pytest.mark.end_to_end


class Address:
    """All that a caller asks of a server in another process."""

    def __init__(self, url: str):
        self.port = urlsplit(url).port or 80


def test_a_served_session_and_its_servers_end(tmp_path):
    streaming_model().pipeline.save_pretrained(tmp_path / "streaming", safe_serialization=True)
    model, live = str(save_model(tmp_path / "model")), str(tmp_path / "streaming")
    arguments = ("serve", "--model", model, "--port", "0", "--live", live, "--live-sessions", "1")

    async def talk(process, url: str) -> tuple[str, float, int]:
        async with call(Address(url), sound(3.0)) as caller:
            await until(lambda: len(caller.frames) > 4, 60)
            metrics = await asyncio.to_thread(lambda: requests.get(f"{url}/metrics", timeout=10).text)
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(process.wait, 60)
            return metrics, time.monotonic() - begun, code

    with started(tmp_path, *arguments) as (process, url):
        metrics, took, code = asyncio.run(talk(process, url))
    assert "omnihuman_live_sessions 1.0" in metrics
    assert code == 0 and took < 30
