"""Live sessions over a real socket: the same pixels as a file's, pauses and ends, and whatever a client does wrong."""

import asyncio
import base64
import ctypes
import gc
import io
import json
import os
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import cv2
import numpy as np
import pytest
import requests
import torch
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from starlette.websockets import WebSocket, WebSocketState
from websockets.exceptions import ConnectionClosed, InvalidStatus

from omnihuman.exporting.marking import Marking
from omnihuman.streaming.stream import TalkingStream, stream_video
from provenance.outcomes import UNTOUCHED
from provenance.verify import verify_files
from serving.http.keys import ClientKey, digest
from serving.live import session
from serving.live.connection import ClientGoneError
from serving.live.finished import forget_old
from serving.live.messages import Start, read_base64
from serving.live.metrics import LiveMetrics
from serving.live.routes import PLACE, add_live
from serving.live.settings import LiveError, LiveSettings
from serving.live.web_socket import SocketConnection
from tests.serving.live import PERSON, begin, hear, live_server, picture, rest, say, sound

SETTINGS = LiveSettings(sessions=3, per_client=3, longest=4.0, start_seconds=1.0, quiet_seconds=1.0, send_seconds=1.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("home"), SETTINGS) as server:
        yield server


def pictures(parts) -> np.ndarray:
    return np.stack(
        [cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB) for _, data in parts]
    )


def of_file(server, samples: np.ndarray, frames: int, seed: int) -> np.ndarray:
    """The same by the file's path, marked as a stream is."""
    pipeline = server.engine.model.pipeline
    image = torch.from_numpy(PERSON.frames[-1])[None]
    stream = TalkingStream(pipeline, image, ["A person talks."], torch.Generator().manual_seed(seed), 64, 64)
    voice = torch.from_numpy(samples.astype(np.float32) / 2**15)[None]
    marking, pictures = Marking.begin(True, 0), []
    for latent in stream_video(stream, voice, frames):
        first, made = stream.frames, stream.decode(latent)[0]
        pictures.append(marking.pictures(made[: frames - first + len(made)], 16.0))
    return np.concatenate(pictures)


def test_what_comes_over_the_socket_is_the_files_pixels(server):
    samples = sound(1.5)
    with server.connect() as socket:
        said = begin(socket, format="png", seed=7)
        assert said["type"] == "video.start" and said["format"] == "png"
        assert (said["config"]["fps"], said["config"]["width"], said["config"]["signed"]) == (16.0, 64, False)
        hear(socket, samples)
        say(socket, "audio.done")
        parts, end = rest(socket)
    assert end["type"] == "session.done" and not end["stopped"] and end["frames"] == 24
    assert [part["first_frame"] for part, _ in parts] == list(range(24))
    assert np.array_equal(pictures(parts), of_file(server, samples, 24, 7))


def test_a_file_of_sound_gives_what_packets_give(server):
    import soundfile

    samples, file = sound(1.0), io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", subtype="PCM_16")
    with server.connect() as socket:
        begin(socket, format="png", seed=3)
        say(socket, "audio.file", data=base64.b64encode(file.getvalue()).decode())
        say(socket, "audio.done")
        parts, _ = rest(socket)
    assert np.array_equal(pictures(parts), of_file(server, samples, 16, 3))


def test_mp4_fragments_are_a_video_with_its_sound(server):
    with server.connect() as socket:
        begin(socket, seed=7)
        hear(socket, sound(1.5))
        say(socket, "audio.done")
        parts, end = rest(socket)
    assert sum(part["num_frames"] for part, _ in parts) == 24 and len(parts) > 5
    assert all(part["byte_length"] == len(data) for part, data in parts)
    # Each can be played as far as it goes: no picture waits for a later message.
    first = b"".join(data for _, data in parts[:3])
    with av.open(io.BytesIO(first)) as file:
        assert len(list(file.decode(video=0))) == sum(part["num_frames"] for part, _ in parts[:3])
    with av.open(io.BytesIO(b"".join(data for _, data in parts))) as file:
        assert len(list(file.decode(video=0))) == 24
        file.seek(0)
        heard = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    assert 24_000 <= len(heard) <= 24_000 + 3 * 1_000 + 2 * 1_024
    assert np.abs(heard[2_000:22_000]).max() > 0.05
    assert end["metrics"]["first_picture_seconds"] > 0 and end["metrics"]["real_time_factor"] > 0


def test_a_kept_video_is_signed_when_it_is_finished(server, tmp_path):
    with server.connect() as socket:
        said = begin(socket, keep=True)
        hear(socket, sound(1.0))
        say(socket, "audio.done")
        _, end = rest(socket)
    assert end["kept"] and not end["signed"]
    folder = server.engine.workspace.root / "live"
    assert [path.name for path in folder.glob(f"*{said['request_id']}*")] == [f"{said['request_id']}.mp4"]
    assert verify_files([folder / f"{said['request_id']}.mp4"])[0].outcome == UNTOUCHED


def test_what_was_stopped_while_it_was_made_is_a_video(server):
    for wait in (0.0, 0.005, 0.01, 0.02, 0.04):
        with server.connect() as socket:
            begin(socket, pace="fast")
            hear(socket, sound(0.2), packet=3_200)
            time.sleep(wait)
            say(socket, "session.stop")
            parts, _ = rest(socket)
        if parts:
            with av.open(io.BytesIO(b"".join(data for _, data in parts))) as file:
                assert len(list(file.decode(video=0))) == sum(part["num_frames"] for part, _ in parts)


def test_what_was_stopped_before_its_first_picture_leaves_no_video(server):
    with server.connect() as socket:
        said = begin(socket, keep=True)
        say(socket, "session.stop")
        parts, end = rest(socket)
    assert not parts and end["type"] == "session.done" and end["stopped"] and not end["kept"]
    assert not list((server.engine.workspace.root / "live").glob(f"*{said['request_id']}*"))


def test_nothing_comes_between_a_piece_and_the_line_before_it(server):
    with server.connect() as socket:
        begin(socket, format="png", pace="fast")
        for packet in np.split(sound(1.0), 50):
            hear(socket, packet)
            for _ in range(20):
                say(socket, "session.ping")
        say(socket, "audio.done")
        kinds = []
        while "session.done" not in kinds:
            said = socket.recv(timeout=60)
            kinds.append("bytes" if isinstance(said, bytes) else json.loads(said)["type"])
    behind = {after for before, after in pairwise(kinds) if before == "video.chunk_metadata"}
    assert behind == {"bytes"} and kinds.count("session.pong") > 100


def test_kept_videos_go_when_they_are_old_or_too_many(tmp_path):
    ages = {
        "live-a.mp4": 10,
        "live-b.mp4": 20,
        "live-c.mp4": 30,
        "live-d.mp4": 2 * 86_400,
        ".live-e.m4s": 20,
        ".live-f.m4s": 7_200,
    }
    for name, age in ages.items():
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (time.time() - age,) * 2)

    def left(**settings) -> list[str]:
        forget_old(tmp_path, LiveSettings(**settings))
        return sorted(path.name for path in tmp_path.iterdir())

    assert left() == [".live-e.m4s", "live-a.mp4", "live-b.mp4", "live-c.mp4"]
    assert left(keep_videos=2) == [".live-e.m4s", "live-a.mp4", "live-b.mp4"]
    assert left(keep_bytes=150) == [".live-e.m4s", "live-a.mp4"]
    assert left(keep_seconds=5) == [".live-e.m4s"], "what grows is no finished video"


def test_pause_holds_and_stop_ends_within_one_latent(server):
    with server.connect() as socket:
        begin(socket, format="png", pace="fast")
        say(socket, "session.pause")
        hear(socket, sound(1.0))
        with pytest.raises(TimeoutError):
            socket.recv(timeout=0.5)
        say(socket, "session.resume")
        first = json.loads(socket.recv(timeout=60))
        assert first["type"] == "video.chunk_metadata"
        say(socket, "session.stop")
        socket.recv(timeout=60)
        parts, end = rest(socket)
    assert end["stopped"] and end["frames"] <= 16


def test_the_largest_picture_fits_into_a_message():
    settings = LiveSettings()
    words = 4 * (settings.upload_bytes // 3 + 1)  # base64
    assert words + 64 * 1024 < uvicorn.Config("").ws_max_size
    with pytest.raises(LiveError, match="image is larger than"):
        read_base64("A" * (words + 8), "image", settings.upload_bytes)


def test_a_pause_is_no_longer_for_being_asked_for_again(server):
    with server.connect() as socket:
        begin(socket, pace="fast")
        for _ in range(20):
            with suppress(ConnectionClosed):  # what it said before it closed can still be read
                say(socket, "session.pause")
            with suppress(TimeoutError):
                said = json.loads(socket.recv(timeout=0.2))
                break
    assert said["code"] == 3008 and "the session was paused for 1 s" in said["message"]


def test_the_time_of_a_pause_is_not_made_up_for_in_silence(server):
    with server.connect() as socket:
        begin(socket, format="jpeg", idle=True)
        say(socket, "session.pause")
        time.sleep(0.8)
        begun = time.monotonic()
        say(socket, "session.resume")
        for _ in range(2 * 17):  # messages of latents 0 to 4, the last of which begins 1 s after the sound
            socket.recv(timeout=60)
        took = time.monotonic() - begun
        say(socket, "session.stop")
        rest(socket)
    assert took >= 0.6


def test_a_picture_after_those_left_out_says_which_it_is(server, monkeypatch):
    monkeypatch.setattr(session, "QUEUE", 1)
    with server.connect() as socket:
        begin(socket, format="png", seed=7)
        hear(socket, sound(1.0))
        say(socket, "audio.done")
        parts, end = rest(socket)
    which = [part["first_frame"] for part, _ in parts]
    assert end["metrics"]["dropped_frames"] == 16 - len(which) > 0
    assert np.array_equal(pictures(parts), of_file(server, sound(1.0), 16, 7)[which])


def test_the_page_where_nobody_has_a_key_answers_for_kept_videos(server, tmp_path):
    app, name = FastAPI(), f"live-{0:032x}"
    add_live(app, server.engine, LiveMetrics(CollectorRegistry(), server.engine), tmp_path)
    (tmp_path / f"{name}.mp4").write_bytes(b"video")
    with TestClient(app) as page:
        assert page.get(f"{PLACE}/{name}/content").content == b"video"
        assert page.get(f"{PLACE}/live-x/content").status_code == 404


def test_in_silence_the_person_goes_on_and_late_sound_is_heard_later(server):
    with server.connect() as socket:
        begin(socket, format="jpeg", idle=True)
        begun = time.monotonic()
        for _ in range(9):  # latents 0 to 2
            assert json.loads(socket.recv(timeout=60))["type"] == "video.chunk_metadata"
            socket.recv(timeout=60)
        took = time.monotonic() - begun
        hear(socket, sound(0.5))
        say(socket, "audio.done")
        parts, end = rest(socket)
    assert took >= 0.5  # at the video's own rate: 9 frames and the lookahead take 0.7 s of silence
    assert end["metrics"]["late_packets"] > 0
    assert end["frames"] >= 9 + 8


@pytest.mark.parametrize(
    ("first", "code", "why"),
    [
        ("not json", 1007, "no JSON"),
        (b"\0\0", 1007, "session.start comes before sound"),
        ('{"type": "session.begin"}', 1007, "first message is session.start, got session.begin"),
        ({"sample_rate": 44_100}, 1003, "taken at 16000 Hz, not 44100"),
        ({"format": "gif"}, 1003, "format"),
        ({"model": "another"}, 1003, "another is not served here"),
        ("[" * 200_000, 1007, "no JSON"),
        ({"image": "%%%"}, 1007, "no base64"),
        ({"image": "é"}, 1007, "no base64"),
        ({"keep": True, "format": "png"}, 1003, "keep: single pictures"),
        ({"image": base64.b64encode(b"nothing").decode()}, 1007, "neither a picture nor a video"),
        ({"colour": 1}, 1007, "colour: Extra inputs"),
        ({"seed": -1}, 1007, "seed"),
    ],
)
def test_a_session_that_cannot_begin_says_why(server, first, code, why):
    with server.connect() as socket:
        if isinstance(first, dict):
            said = begin(socket, **first)
        else:
            socket.send(first)
            said = json.loads(socket.recv(timeout=60))
        assert said["type"] == "error" and said["code"] == code and why in said["message"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=60)
        assert closed.value.rcvd.code == code and str(closed.value.rcvd.reason)


@pytest.mark.parametrize(
    ("packet", "settings", "code", "why"),
    [
        (b"", {}, 1007, "empty packet"),
        (b"\0", {}, 1007, "1 bytes ends within a sample of 2"),
        (b"\0\0" * 3_201, {}, 1009, "at most 0.2 s"),
        (np.full(320, np.nan, "<f4").tobytes(), {"sample_format": "f32le"}, 1007, "not finite"),
        ('{"type": "audio.loud"}', {}, 1007, "unknown message audio.loud"),
        ('{"type": "audio.chunk", "data": 7}', {}, 1007, "audio.chunk.data is base64"),
        ('{"type": "audio.file", "data": "AAAA"}', {}, 1007, "audio.file"),
    ],
)
def test_sound_that_cannot_be_used_ends_the_session_and_no_other(server, packet, settings, code, why):
    with server.connect() as other:
        begin(other, format="png", seed=7)
        with server.connect() as socket:
            begin(socket, **settings)
            socket.send(packet)
            _, said = rest(socket)
            assert said["type"] == "error" and said["code"] == code and why in said["message"]
        hear(other, sound(0.5))
        say(other, "audio.done")
        parts, end = rest(other)
    assert end["type"] == "session.done" and np.array_equal(pictures(parts), of_file(server, sound(0.5), 8, 7))


def test_silence_from_the_client_times_out(server):
    with server.connect() as socket:
        said = json.loads(socket.recv(timeout=60))
        assert said["code"] == 3008 and "no session.start within 1 s" in said["message"]
    with server.connect() as socket:
        begin(socket)
        _, said = rest(socket)
        assert said["code"] == 3008 and "no sound came for 1 s" in said["message"]


def test_a_sample_now_and_then_is_no_sound(server):
    with server.connect() as socket:
        begin(socket)
        for _ in range(30):
            hear(socket, np.zeros(1, "<i2"))
            with suppress(TimeoutError):
                said = json.loads(socket.recv(timeout=0.1))
                break
    assert said["code"] == 3008 and "too little for a picture" in said["message"]


def test_a_session_has_a_longest_length(server):
    with server.connect() as socket:
        begin(socket, pace="fast", format="jpeg")
        hear(socket, np.zeros(16_000 * 4 + 320, "<i2"))
        _, said = rest(socket)
        assert said["code"] == 1008 and "at most 4 s" in said["message"]


def test_more_sessions_than_there_are_places_are_sent_away(server):
    before = server.number("omnihuman_live_ended_total", code="1013")
    sockets = [server.connect() for _ in range(3)]
    try:
        for socket in sockets:
            begin(socket, idle=True, format="jpeg")
        for _ in range(20):
            with server.connect() as extra:
                said = json.loads(extra.recv(timeout=60))
                assert said["code"] == 1013 and "3 sessions are under way" in said["message"]
    finally:
        for socket in sockets:
            socket.close()
    assert server.number("omnihuman_live_ended_total", code="1013") == before + 20
    _empty(server)


def test_a_client_that_vanishes_leaves_its_place(server):
    for _ in range(3):
        socket = server.connect()
        begin(socket, idle=True)
        socket.socket.close()
    _empty(server)


def _empty(server) -> None:
    until = time.monotonic() + 60
    while server.engine.open_sessions.total() and time.monotonic() < until:
        time.sleep(0.05)
    assert server.engine.open_sessions.total() == 0


def test_a_client_that_never_reads_is_left(server):
    before = server.number("omnihuman_live_ended_total", code="3008")
    socket = server.connect(max_queue=1)
    try:
        begin(socket, pace="fast", format="png", idle=True)
        socket.socket.setsockopt(1, 8, 4096)  # a small receive buffer
        hear(socket, np.zeros(16_000 * 3, "<i2"))
        until = time.monotonic() + 60
        while server.engine.open_sessions.total() and time.monotonic() < until:
            time.sleep(0.1)
    finally:
        socket.socket.close()
    _empty(server)
    assert server.number("omnihuman_live_ended_total", code="3008") >= before


def test_pages_of_others_are_refused_before_the_socket_opens(server):
    with pytest.raises(InvalidStatus) as refused:
        server.connect(origin="https://example.org")
    assert refused.value.response.status_code == 403


def test_a_server_with_keys_asks_for_one(tmp_path):
    keys = {
        "anna": ClientKey(sha256=digest("omni-anna"), seconds=2.0),
        "ben": ClientKey(sha256=digest("omni-ben")),
        "metrics": ClientKey(sha256=digest("omni-metrics"), rights=frozenset({"metrics"})),
    }
    with live_server(tmp_path, SETTINGS, keys) as server:
        with pytest.raises(InvalidStatus) as refused:
            server.connect()
        assert refused.value.response.status_code == 403
        with server.connect(additional_headers={"Authorization": "Bearer omni-metrics"}) as socket:
            assert json.loads(socket.recv(timeout=60))["code"] == 1008
        with server.connect(additional_headers={"Authorization": "Bearer omni-anna"}) as socket:
            said = begin(socket, keep=True)
            assert said["type"] == "video.start" and said["config"]["longest_seconds"] == 2.0
            hear(socket, sound(0.5))
            say(socket, "audio.done")
            assert rest(socket)[1]["kept"]
        kept = f"http://127.0.0.1:{server.port}{PLACE}/{said['request_id']}/content"
        asked = {who: requests.get(kept, headers={"Authorization": f"Bearer omni-{who}"}) for who in ("anna", "ben")}
    assert (asked["anna"].status_code, asked["ben"].status_code) == (200, 404)
    assert asked["anna"].content[4:8] == b"ftyp"


def test_the_mark_is_the_operators(tmp_path):
    from serving.http.request_limits import Limits

    with live_server(tmp_path, SETTINGS, limits=Limits()) as server, server.connect() as socket:
        said = begin(socket, mark=False)
        assert said["code"] == 1008 and "mark=false is not allowed here" in said["message"]


@pytest.mark.end_to_end
def test_two_hundred_sessions_leave_nothing(server):
    """However each ends: files that are open, threads and memory stay what they were after the first twenty."""

    def one(number: int) -> None:
        with server.connect() as socket:
            keep = number % 5 == 4
            begin(socket, format="m4s" if keep else "jpeg", pace="fast", keep=keep)
            hear(socket, sound(0.2), packet=3_200)
            if number % 4 == 3:
                socket.send(b"\0")  # torn
            else:
                say(socket, ("session.stop", "audio.done", "audio.done")[number % 4])
            rest(socket)

    for number in range(20):
        one(number)
    _empty(server)
    before = _held()
    for number in range(200):
        one(number)
    _empty(server)
    handles, threads, memory = _held()
    assert handles <= before[0] + 2 and threads <= before[1] + 2
    assert memory <= before[2] + 24 * 2**20


def _held() -> tuple[int, int, int]:
    """Open files, threads, and resident bytes of this process, without what is free already and only kept by the heap."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(os.listdir("/proc/self/fd")), threading.active_count(), pages * os.sysconf("SC_PAGE_SIZE")


def test_a_client_that_goes_while_it_is_written_to_is_no_fault_of_the_server():
    """uvicorn says so by an error of its own, which starlette hands on as a disconnect."""

    async def gone(message) -> None:
        raise OSError

    async def talk() -> None:
        socket = WebSocket({"type": "websocket"}, None, gone)
        socket.application_state = WebSocketState.CONNECTED
        way = SocketConnection.__new__(SocketConnection)
        way.socket, way.engine = socket, SimpleNamespace(settings=LiveSettings())
        await way.say({"type": "video.start"})

    with pytest.raises(ClientGoneError):
        asyncio.run(talk())


@pytest.mark.parametrize("turns", range(4))
def test_a_session_that_is_ended_as_sound_comes_is_ended(server, turns):
    """`asyncio.wait_for` lost the cancellation, and the session kept its place for ever (Python 3.11)."""

    async def talk() -> bool:
        start = Start(type="session.start", image=picture())
        talking = session.LiveSession(server.engine, start, await server.engine.run(server.engine.opened, start), 4.0)
        making = asyncio.create_task(talking.make())
        await asyncio.sleep(0.05)
        talking.hear(np.zeros(16, np.float32))
        for _ in range(turns):
            await asyncio.sleep(0)
        making.cancel()
        await asyncio.wait({making}, timeout=0.5)
        return making.cancelled()

    assert asyncio.run(talk())
