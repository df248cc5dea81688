"""Live sessions over WebRTC with a client on loopback: the socket's pictures, sound in sync, its controls and ends, and whatever a client does wrong."""

import asyncio
import gc
import io
import json
import os
import socket
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import requests

pytest.importorskip("aiortc", reason="the extra `webrtc` is not installed")

import av  # noqa: E402
from aioice import ice, stun  # noqa: E402
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription  # noqa: E402
from aiortc.sdp import SessionDescription  # noqa: E402

from serving.http.keys import ClientKey, digest  # noqa: E402
from serving.live import candidates, output, session, webrtc_routes  # noqa: E402
from serving.live.offer import checked  # noqa: E402
from serving.live.settings import LiveSettings  # noqa: E402
from serving.live.webrtc_routes import PLACE  # noqa: E402
from tests.serving.live import begin, live_server, picture, rest, say, sound  # noqa: E402
from tests.serving.webrtc import Caller, arrivals, call, until  # noqa: E402

SETTINGS = LiveSettings(sessions=3, per_client=3, longest=20.0)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("home"), SETTINGS) as server:
        yield server


@pytest.fixture
def made(monkeypatch) -> list[np.ndarray]:
    """Pictures before they are encoded."""
    pictures: list[np.ndarray] = []
    add = output.Pieces.add

    def kept(self, images, voice):
        pictures.extend(images)
        return add(self, images, voice)

    monkeypatch.setattr(output.Pieces, "add", kept)
    return pictures


@pytest.fixture
def impatient(server, monkeypatch) -> None:
    monkeypatch.setattr(server.engine, "settings", replace(SETTINGS, start_seconds=2.0, quiet_seconds=2.0))


def empty(server) -> None:
    until = time.monotonic() + 60
    while server.engine.open_sessions.total() and time.monotonic() < until:
        time.sleep(0.05)
    assert server.engine.open_sessions.total() == 0


def offered(*kinds: str, video: str = "recvonly", audio: str = "sendrecv") -> str:
    async def make() -> str:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        for kind in kinds:
            if kind == "data":
                peer.createDataChannel("events")
            else:
                peer.addTransceiver(kind, video if kind == "video" else audio)
        with candidates.candidates_on("127.0.0.1"):
            await peer.setLocalDescription(await peer.createOffer())
        sdp = peer.localDescription.sdp
        await peer.close()
        return sdp

    return asyncio.run(make())


def post(server, body: str | bytes, kind: str = "application/sdp", place: str = PLACE, **headers: str):
    url = f"http://127.0.0.1:{server.port}{place}"
    return requests.post(url, data=body, headers={"Content-Type": kind, **headers}, timeout=60)


def test_pictures_are_the_sockets_for_the_same_sound_at_the_videos_rate(server, made, monkeypatch):
    heard: list[np.ndarray] = []
    hear = session.LiveSession.hear
    monkeypatch.setattr(session.LiveSession, "hear", lambda self, given: (heard.append(given), hear(self, given))[1])

    async def talk() -> Caller:
        async with call(server, sound(2.0), seed=7) as caller:
            await asyncio.sleep(1.8)
            caller.say("audio.done")
            await caller.ended()
            return caller

    caller = asyncio.run(talk())
    end, count = caller.said[-1], len(made)
    assert caller.said[0]["type"] == "video.start" and caller.said[0]["format"] == "rtp"
    assert caller.said[0]["config"]["signed"] is False and caller.said[0]["config"]["marked"] is True
    assert end["type"] == "session.done" and not end["signed"] and not end["stopped"]
    assert count >= 20 and end["frames"] + end["metrics"]["dropped_frames"] == count

    # What came is what was made, encoded: aiortc's receiver hands a picture out when the next one comes, so all but the last.
    assert len(caller.frames) >= end["frames"] - 2
    ticks = [frame.pts for _, frame in caller.frames]
    assert np.median(np.diff(ticks)) == 90_000 / 16
    first = caller.frames[0][1].to_ndarray(format="rgb24").astype(float)
    assert np.abs(first - made[0]).mean() < 12

    voice, waiting = np.concatenate(heard), []
    with server.connect() as other:
        begin(other, format="png", pace="fast", seed=7, sample_format="f32le")
        for start in range(0, len(voice), 1_600):
            other.send(voice[start : start + 1_600].astype("<f4").tobytes())
        say(other, "audio.done")
        waiting, _ = rest(other)
    assert len(waiting) == count
    for (_, data), image in zip(waiting, made, strict=False):
        with av.open(io.BytesIO(data)) as file:
            [frame] = file.decode(video=0)
        assert np.array_equal(frame.to_ndarray(format="rgb24"), image)


def test_an_offer_alone_begins_by_the_first_message(server):
    async def talk() -> list[dict]:
        async with call(server, sound(1.0), alone=True) as caller:
            await until(lambda: caller.frames)
            caller.say("session.ping")
            await until(lambda: len(caller.said) > 1)
            caller.say("session.stop")
            await caller.ended()
            return caller.said

    said = asyncio.run(talk())
    assert [one["type"] for one in said] == ["video.start", "session.pong", "session.done"]
    assert said[-1]["stopped"]


def test_sound_comes_back_in_sync_with_its_pictures(server, monkeypatch):
    """White pictures and a tone from 1 s on, in place of what the model makes; how far apart they are when they have crossed the wire."""
    count = [0]

    def flash(self, images, voice):
        which = count[0] + np.arange(len(images))
        count[0] += len(images)
        white = np.where(which >= 16, 255, 0).astype(np.uint8)[:, None, None, None] + np.zeros_like(images)
        at = self.heard + np.arange(len(voice))
        self.heard += len(voice)
        tone = np.where(at >= 16_000, 0.5 * np.sin(2 * np.pi * 440 * at / 16_000), 0.0).astype(np.float32)
        return add(self, white, tone)

    add = output.Pieces.add
    monkeypatch.setattr(output.Pieces, "heard", 0, raising=False)
    monkeypatch.setattr(output.Pieces, "add", flash)

    async def talk() -> Caller:
        async with call(server, sound(4.0)) as caller:
            await until(lambda: len(caller.frames) >= 30)
            caller.say("session.stop")
            await caller.ended()
            return caller

    caller = asyncio.run(talk())
    seen, heard = arrivals(caller)
    # The same clock: how much later the sound went out than the pictures that it belongs to. Opus looks ahead 6.5 ms; a packet is 20 ms.
    print(f"sound after pictures: {1000 * (heard - seen):.1f} ms")
    assert abs(heard - seen) < 0.06


def test_pause_holds_and_stop_ends_within_one_latent(server, made, monkeypatch):
    control, seen = session.LiveSession.control, {}

    def noted(self, kind: str) -> None:
        control(self, kind)
        seen[kind] = (self.numbers.frames, len(made))

    monkeypatch.setattr(session.LiveSession, "control", noted)

    async def talk() -> tuple[int, dict]:
        async with call(server, sound(5.0)) as caller:
            await until(lambda: len(caller.frames) >= 8)
            caller.say("session.pause")
            await until(lambda: "session.pause" in seen)
            await asyncio.sleep(1.0)  # what was under way comes
            held, count = len(caller.frames), len(made)
            await asyncio.sleep(0.5)
            assert (len(caller.frames), len(made)) == (held, count)
            caller.say("session.resume")
            await until(lambda: len(caller.frames) > held + 2)
            caller.say("session.stop")
            return count, await caller.ended()

    count, end = asyncio.run(talk())
    assert count - seen["session.pause"][1] <= 4  # pictures of a latent
    shown, finished = seen["session.stop"]
    assert end["stopped"] and len(made) - finished <= 4 and end["frames"] - shown <= 1  # nor is any of them shown


def test_delete_ends_a_session_and_only_ones_own(server):
    async def talk() -> tuple[int, int, int, dict]:
        async with call(server, sound(3.0)) as caller:
            url = f"http://127.0.0.1:{server.port}{caller.location}"
            patched = await asyncio.to_thread(requests.patch, url, timeout=60)
            first = await asyncio.to_thread(requests.delete, url, timeout=60)
            end = await caller.ended()
            again = await asyncio.to_thread(requests.delete, url, timeout=20)
            return patched.status_code, first.status_code, again.status_code, end

    patched, first, again, end = asyncio.run(talk())
    assert (patched, first, again) == (405, 200, 404)  # RFC 9725: 405 where there is no trickle
    assert end["type"] == "session.done" and end["stopped"]
    empty(server)


def test_silence_from_the_client_times_out(server, impatient):
    async def quiet() -> dict:
        async with call(server, None) as caller:
            return await caller.ended()

    said = asyncio.run(quiet())
    assert said["code"] == 3008 and "no sound came for 2 s" in said["message"]

    async def mute() -> list[dict]:
        caller = Caller(server, None)
        answer = await asyncio.to_thread(post, server, await caller.offer())
        await caller.peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        await caller.ended()
        await caller.close()
        return caller.said

    [said] = asyncio.run(mute())
    assert said["code"] == 3008 and "no session.start within 2 s" in said["message"]


def test_an_answer_that_nobody_takes_frees_its_place(server, impatient):
    before = server.number("omnihuman_live_ended_total", code="3008")
    body = json.dumps({"sdp": offered("audio", "video", "data"), "image": picture()})
    assert post(server, body, "application/json").status_code == 201
    assert server.engine.open_sessions.total() == 1
    empty(server)
    assert server.number("omnihuman_live_ended_total", code="3008") == before + 1


@pytest.mark.parametrize(
    ("body", "kind", "status", "why"),
    [
        ("", "text/plain", 415, "send an SDP offer as application/sdp"),
        ("", "application/sdp", 422, "no audio, video, data channel"),
        ("garbage \0 \n v=" + "x" * 100, "application/sdp", 422, "offer"),
        (b"\xff\xfe", "application/sdp", 422, "no UTF-8"),
        ("v=0\r\n" + "a=x\r\n" * 20_000, "application/sdp", 413, "larger than 65536 bytes"),
        ({"sdp": "v=0\r\n" + "a=x\r\n" * 20_000}, "application/json", 413, "larger than 65536 bytes"),
        ({"image": "x"}, "application/json", 422, "sdp is the text"),
        ("[1]", "application/json", 422, "no JSON object"),
        (("audio", "video"), "application/sdp", 422, "no data channel"),
        (("audio", "data"), "application/sdp", 422, "no video"),
        (("video", "data"), "application/sdp", 422, "no audio"),
        (("audio", "video", "video", "data"), "application/sdp", 422, "second video"),
    ],
)
def test_an_offer_that_cannot_be_taken_says_why(server, body, kind, status, why):
    if isinstance(body, tuple):
        body = offered(*body)
    answer = post(server, json.dumps(body) if isinstance(body, dict) else body, kind)
    assert answer.status_code == status and why in answer.json()["error"]["message"], answer.text
    assert server.engine.open_sessions.total() == 0


@pytest.mark.parametrize(
    ("change", "status", "why"),
    [
        (
            lambda sdp: sdp.replace("opus/48000", "speex/48000").replace("PCMU", "L16").replace("PCMA", "GSM"),
            415,
            "audio goes as opus",
        ),
        (lambda sdp: sdp.replace("VP8/", "VP9/").replace("H264/", "H265/"), 415, "video goes as vp8 or h264"),
        (lambda sdp: sdp.replace("a=recvonly", "a=sendonly"), 422, "pictures come on the video track"),
        (lambda sdp: sdp.replace("a=sendrecv", "a=recvonly", 1), 422, "your sound is sent on the audio track"),
        (lambda sdp: sdp.replace("a=ice-pwd", "a=ice-pw"), 422, "ICE username fragment or password is missing"),
        (lambda sdp: sdp.replace("a=fingerprint", "a=finger"), 422, "no fingerprint of a certificate"),
        (lambda sdp: sdp.replace("a=rtcp-mux", "a=rtcp-mx"), 422, "RTCP mux is not enabled"),
    ],
)
def test_an_offer_of_what_there_is_not_says_so(server, change, status, why):
    body = {"sdp": change(offered("audio", "video", "data")), "image": picture()}
    answer = post(server, json.dumps(body), "application/json")
    assert answer.status_code == status and why in answer.json()["error"]["message"], answer.text
    empty(server)


@pytest.mark.parametrize(
    ("settings", "status", "why"),
    [
        ({"image": "%%%"}, 422, "no base64"),
        ({"keep": True}, 415, "keep: tracks are no video"),
        ({"format": "m4s"}, 415, "m4s does not go over WebRTC"),
        ({"pace": "fast"}, 415, "video's own rate"),
        ({"model": "another"}, 415, "another is not served here"),
        ({"seed": -1}, 422, "seed"),
    ],
)
def test_a_session_that_cannot_begin_says_why(server, settings, status, why):
    body = {"sdp": offered("audio", "video", "data"), "image": picture(), **settings}
    answer = post(server, json.dumps(body), "application/json")
    assert answer.status_code == status and why in answer.json()["error"]["message"], answer.text


def test_the_socket_has_no_tracks(server):
    with server.connect() as other:
        said = begin(other, format="rtp")
    assert said["code"] == 1003 and "rtp does not go over a socket" in said["message"]


def test_what_cannot_be_understood_ends_the_session(server):
    async def talk(send) -> dict:
        async with call(server, sound(3.0)) as caller:
            send(caller)
            return await caller.ended()

    said = asyncio.run(talk(lambda caller: caller.say("audio.chunk", data="AAAA")))
    assert said["code"] == 1007 and "unknown message audio.chunk; there are session.pause" in said["message"]
    said = asyncio.run(talk(lambda caller: caller.channel.send(b"\0\0")))
    assert said["code"] == 1003 and "sound comes on the audio track" in said["message"]


def test_more_sessions_than_there_are_places_are_sent_away(server):
    async def talk() -> requests.Response:
        callers = [Caller(server, sound(3.0)) for _ in range(3)]
        for caller in callers:
            await caller.begin(idle=True)
        body = json.dumps({"sdp": await callers[0].offer(), "image": picture()})
        answer = await asyncio.to_thread(post, server, body, "application/json")
        with server.connect() as other:  # one count for both ways
            assert json.loads(other.recv(timeout=60))["code"] == 1013
        for caller in callers:
            await caller.close()
        return answer

    answer = asyncio.run(talk())
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "5"
    assert "3 sessions are under way" in answer.json()["error"]["message"]
    empty(server)


def test_a_session_has_a_longest_length(tmp_path):
    async def talk(server) -> dict:
        async with call(server, sound(3.0)) as caller:
            return await caller.ended()

    with live_server(tmp_path, LiveSettings(longest=1.0)) as server:
        said = asyncio.run(talk(server))
    assert said["code"] == 1008 and "at most 1 s" in said["message"]


def test_media_goes_from_the_address_of_the_request_alone(server, impatient):
    sdp = offered("audio", "video", "data")
    elsewhere = sdp.replace("127.0.0.1", "198.51.100.7") + "a=candidate:1 1 udp 1 name.local 9 typ host\r\n"
    answer = post(server, json.dumps({"sdp": elsewhere, "image": picture()}), "application/json")
    found = [line.split() for line in answer.text.splitlines() if line.startswith("a=candidate:")]
    assert answer.status_code == 201 and {(words[4], words[7]) for words in found} == {("127.0.0.1", "host")}
    empty(server)


@pytest.mark.parametrize("separator", ["\n", "\r", "\x0b", "\x0c", "\x1e", "\x85", "\u2028"])
def test_no_address_of_the_clients_choice_is_left_in_an_offer(separator):
    """Whatever its parser takes for the end of a line."""
    hidden = f"a=x:y{separator}a=candidate:1 1 udp 1 198.51.100.7 53 typ host\r\n"
    left = checked(offered("audio", "video", "data") + hidden, SETTINGS)
    assert not any(media.ice_candidates for media in SessionDescription.parse(left).media)


def test_another_address_can_be_named_and_must_be_this_machines(tmp_path):
    body = json.dumps({"sdp": offered("audio", "video", "data"), "image": picture()})
    with live_server(tmp_path, LiveSettings(rtc_address="127.0.0.2", start_seconds=0.5)) as server:
        assert " 127.0.0.2 " in post(server, body, "application/json").text
    with live_server(tmp_path, LiveSettings(rtc_address="198.51.100.7", start_seconds=0.5)) as server:
        answer = post(server, body, "application/json")
        assert answer.status_code == 500 and "--live-address names another" in answer.json()["error"]["message"]
    with live_server(tmp_path, LiveSettings(rtc_address="localhost", start_seconds=0.5)) as server:
        answer = post(server, body, "application/json")
        assert answer.status_code == 415 and "needs an IP address" in answer.json()["error"]["message"]


def test_a_stun_server_is_asked_where_one_is_named(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as named:
        named.bind(("127.0.0.1", 0))

        def answer() -> None:
            data, caller = named.recvfrom(1_500)
            asked = stun.parse_message(data)
            said = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, asked.transaction_id)
            said.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.9", 40_000)
            named.sendto(bytes(said), caller)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        servers = (f"stun:127.0.0.1:{named.getsockname()[1]}",)
        with live_server(tmp_path, LiveSettings(ice_servers=servers, start_seconds=0.5)) as server:
            body = json.dumps({"sdp": offered("audio", "video", "data"), "image": picture()})
            said = post(server, body, "application/json").text
            empty(server)
        thread.join(10)
    assert "203.0.113.9 40000 typ srflx" in said


def test_h264_where_that_is_offered_first(server, made):
    async def talk() -> list[av.VideoFrame]:
        caller = Caller(server, sound(2.0))
        [video] = [one for one in caller.peer.getTransceivers() if one.kind == "video"]
        capable = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([codec for codec in capable if codec.mimeType == "video/H264"])
        try:
            await caller.begin()
            await until(lambda: len(caller.frames) > 5)
        finally:
            await caller.close()
        assert "H264/90000" in caller.answered and "VP8" not in caller.answered
        return [frame for _, frame in caller.frames]

    assert {(frame.width, frame.height) for frame in asyncio.run(talk())} == {made[0].shape[1::-1]}


def test_a_server_with_keys_asks_for_one(tmp_path):
    keys = {
        "anna": ClientKey(sha256=digest("omni-anna")),
        "ben": ClientKey(sha256=digest("omni-ben")),
        "eve": ClientKey(sha256=digest("omni-eve"), rights=frozenset()),
    }
    sdp = offered("audio", "video", "data")
    body = json.dumps({"sdp": sdp, "image": picture()})

    def asked(server, name: str) -> requests.Response:
        return post(server, body, "application/json", Authorization=f"Bearer omni-{name}")

    async def talk(server) -> None:
        async with call(server, sound(3.0), headers={"Authorization": "Bearer omni-anna"}) as caller:
            url = f"http://127.0.0.1:{server.port}{caller.location}"
            for name, status in (("ben", 404), ("anna", 200)):
                headers = {"Authorization": f"Bearer omni-{name}"}
                answer = await asyncio.to_thread(requests.delete, url, headers=headers, timeout=20)
                assert answer.status_code == status

    with live_server(tmp_path, LiveSettings(), keys) as server:
        assert post(server, body, "application/json").status_code == 401
        assert asked(server, "eve").status_code == 403
        asyncio.run(talk(server))
        empty(server)


def test_pages_of_others_are_refused(server):
    assert post(server, "", Origin="https://example.org").status_code == 403
    assert post(server, "", Host="example.org").status_code == 400


def test_without_the_extra_it_says_what_to_install(server, monkeypatch):
    monkeypatch.setattr(webrtc_routes, "find_spec", lambda name: None)
    answer = post(server, "v=0")
    assert (
        answer.status_code == 501
        and "pip install -c constraints.txt -e '.[webrtc]'" in answer.json()["error"]["message"]
    )


def test_a_server_that_ends_ends_its_sessions(tmp_path):
    async def talk(server) -> Caller:
        caller = Caller(server, sound(5.0))
        await caller.begin()
        await until(lambda: caller.frames)
        return caller

    loop = asyncio.new_event_loop()
    with live_server(tmp_path, LiveSettings()) as server:
        caller = loop.run_until_complete(talk(server))
    assert server.engine.open_sessions.total() == 0
    loop.run_until_complete(until(lambda: caller.channel.readyState == "closed"))
    loop.run_until_complete(caller.close())
    loop.close()


def test_whoever_runs_the_server_can_end_its_sessions(server):
    async def talk() -> None:
        async with call(server, sound(5.0), idle=True) as caller:
            await until(lambda: caller.frames)
            await asyncio.to_thread(server.rtc.end_all_from_outside)
            assert server.engine.open_sessions.total() == 0
            await until(lambda: caller.channel.readyState == "closed")

    asyncio.run(talk())


def held() -> dict[str, int]:
    """Peers, tasks, threads but the loops' pools, and open sockets of this process."""
    gc.collect()
    objects = gc.get_objects()
    threads = [one for one in threading.enumerate() if not one.name.startswith(("asyncio_", "ThreadPool", "AnyIO"))]
    links = [
        os.readlink(f"/proc/self/fd/{name}")
        for name in os.listdir("/proc/self/fd")
        if os.path.islink(f"/proc/self/fd/{name}")
    ]
    return {
        "peers": sum(isinstance(one, RTCPeerConnection) for one in objects),
        "tasks": sum(isinstance(one, asyncio.Task) and not one.done() for one in objects),
        "threads": len(threads),
        "sockets": sum(link.startswith("socket:") for link in links),
    }


def test_nothing_is_left_of_sessions_however_they_end(server, monkeypatch):
    monkeypatch.setattr(
        ice, "CONSENT_INTERVAL", 0.2
    )  # 5 s, and six failures: a client that vanished is missed after half a minute
    monkeypatch.setattr(ice, "CONSENT_FAILURES", 2)

    async def stopped() -> None:
        async with call(server, sound(2.0)) as caller:
            await until(lambda: caller.frames)
            caller.say("session.stop")
            await caller.ended()

    async def hung_up() -> None:
        async with call(server, sound(2.0)) as caller:
            await until(lambda: caller.frames)

    async def vanished() -> None:
        async with call(server, sound(2.0), idle=True) as caller:
            await until(lambda: caller.frames)
            for transceiver in caller.peer.getTransceivers():
                ices = transceiver.receiver.transport.transport
                for protocol in ices._connection._protocols:
                    protocol.transport.abort()  # as a machine that is switched off: no word of parting
            begun = time.monotonic()
            await asyncio.to_thread(empty, server)
            assert time.monotonic() - begun < 15  # and not the 30 s and more that consent takes

    def all_ways() -> None:
        for way in (stopped, hung_up, vanished):
            asyncio.run(way())
            empty(server)
        assert post(server, "v=0").status_code == 422
        time.sleep(0.5)

    all_ways()
    before = held()
    for _ in range(3):
        all_ways()
    after = held()
    assert after == {**before, "sockets": after["sockets"]} and after["sockets"] <= before["sockets"], (before, after)
