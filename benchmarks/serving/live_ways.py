"""How long each way of a live session takes to its pictures: `python -m benchmarks.serving.live_ways`. Needs the extra `webrtc`.

Server and client are one process on loopback, with a small streaming model of random weights. The ways take turns. A voice is spoken in its own time, in packets of 20 ms, and
everything is timed by the client's clock:

- start: from the first byte to `video.start`;
- first picture: from the first sample of the voice to the first picture, decoded;
- behind the voice: how long after its own sound a picture is there, of those after the first, by the latest of a socket's (its player must wait for it) and by the median of a track's.

aiortc hands a picture out when the next one comes. A browser does not wait, so a track's pictures are timed by the next one's arrival less the distance of their timestamps; the time as it is
stands beside. With `--sync` pictures and sound are replaced by a flash with a tone, and how far apart they come out is printed; with `--marks`, in how many sessions of
each way the invisible mark is read in what the client has decoded.
"""

import argparse
import asyncio
import io
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import av
import numpy as np

from provenance.watermark.find import find
from serving.live import output
from serving.live.settings import LiveSettings
from tests.serving.live import Server, begin, hear, live_server, rest, say, sound
from tests.serving.webrtc import Caller, arrivals, call, until

FPS, SECONDS = 16.0, 3.0


@dataclass(frozen=True)
class Times:
    """Seconds of one session; `held` is the first picture's time as aiortc's receiver hands it out."""

    start: float
    first: float
    behind: float
    held: float = float("nan")


def by_socket(server: Server) -> Times:
    """One session over the socket."""
    asked, voice = time.monotonic(), sound(SECONDS)
    with server.connect() as socket:
        begin(socket)
        started = time.monotonic()
        came: list[float] = []
        data, sent, count, ended = b"", 0, 0, False
        while not ended:
            due = sent < len(voice) and time.monotonic() >= started + sent / 16_000
            if due:
                socket.send(voice[sent : sent + 320].tobytes())
                sent += 320
                if sent >= len(voice):
                    say(socket, "audio.done")
            try:
                message = socket.recv(timeout=0 if due else 0.002)
            except TimeoutError:
                continue
            if isinstance(message, bytes):
                data += message
                if not came:
                    with av.open(io.BytesIO(data)) as file:
                        next(file.decode(video=0))
                came += [time.monotonic()] * count
            else:
                said = json.loads(message)
                count, ended = said.get("num_frames", 0), said["type"] == "session.done"
    behind = max(when - started - index / FPS for index, when in enumerate(came) if index)
    return Times(started - asked, came[0] - started, behind)


async def by_webrtc(server: Server) -> Times:
    """One session over WebRTC."""
    asked = time.monotonic()
    async with call(server, sound(SECONDS)) as caller:
        started = time.monotonic()
        await asyncio.sleep(SECONDS)
        caller.say("audio.done")
        await caller.ended()
    shown = [(when - (after.pts - frame.pts) / 90_000, frame.pts) for (when, frame), (_, after) in _pairs(caller)]
    # Which picture it is, by the steps of its timestamps after the second; the first is shown before its time.
    behind = [
        when - caller.voice.began - (1 + round((pts - shown[1][1]) / 90_000 * FPS)) / FPS for when, pts in shown[1:]
    ]
    return Times(
        started - asked, shown[0][0] - caller.voice.began, median(behind), caller.frames[0][0] - caller.voice.began
    )


def _pairs(caller: Caller) -> list[tuple[tuple[float, av.VideoFrame], tuple[float, av.VideoFrame]]]:
    """Each picture, timed by when it was handed out, and the one whose coming that was."""
    return list(zip(caller.frames, caller.frames[1:], strict=False))


async def apart(server: Server) -> float:
    """Seconds by which sound comes after its pictures."""
    async with call(server, sound(SECONDS)) as caller:
        await until(lambda: len(caller.frames) >= 30)
        caller.say("session.stop")
        await caller.ended()
    seen, heard = arrivals(caller)
    return heard - seen


class Flash(output.Pieces):
    """White pictures and a tone from 1 s on."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = self._heard = 0

    def add(self, pictures: np.ndarray, sound: np.ndarray) -> list[tuple[output.Piece, int]]:
        """In place of what was made."""
        which, at = self._shown + np.arange(len(pictures)), self._heard + np.arange(len(sound))
        self._shown, self._heard = self._shown + len(pictures), self._heard + len(sound)
        white = np.where(which >= FPS, 255, 0).astype(np.uint8)[:, None, None, None] + np.zeros_like(pictures)
        tone = np.where(at >= 16_000, 0.5 * np.sin(2 * np.pi * 440 * at / 16_000), 0.0)
        return super().add(white, tone.astype(np.float32))


def mark_by_socket(server: Server, seed: int) -> float:
    """The finder's score in one session's fragments."""
    with server.connect() as socket:
        begin(socket, seed=seed, pace="fast")
        hear(socket, sound(SECONDS))
        say(socket, "audio.done")
        parts, _ = rest(socket)
    with av.open(io.BytesIO(b"".join(data for _, data in parts))) as file:
        return _score([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


async def mark_by_webrtc(server: Server, seed: int) -> float:
    """The finder's score in one session's track."""
    async with call(server, sound(SECONDS), seed=seed) as caller:
        await asyncio.sleep(SECONDS)
        caller.say("audio.done")
        await caller.ended()
    return _score([frame.to_ndarray(format="rgb24") for _, frame in caller.frames])


def _score(pictures: list[np.ndarray]) -> float:
    """NaN where no mark is read."""
    found = find(pictures)
    return found.score if found.marked else float("nan")


def main() -> None:
    """Print the median and the range of each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sync", action="store_true", help="how far sound and pictures are apart, instead")
    parser.add_argument("--marks", action="store_true", help="in how many sessions the invisible mark is read, instead")
    given = parser.parse_args()
    if given.sync:
        output.Pieces = Flash  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder, live_server(Path(folder), LiveSettings()) as server:
        if given.sync:
            offsets = [asyncio.run(apart(server)) for _ in range(given.rounds)]
            _print("sound after pictures", offsets)
            return
        if given.marks:
            for seed in range(given.rounds):
                scores = mark_by_socket(server, seed), asyncio.run(mark_by_webrtc(server, seed))
                print(
                    f"seed {seed}: socket {scores[0]:.1f}, WebRTC {scores[1]:.1f} standard deviations (nan: not read)"
                )
            return
        by_socket(server), asyncio.run(by_webrtc(server))  # the first of a process is slower
        rounds = [(by_socket(server), asyncio.run(by_webrtc(server))) for _ in range(given.rounds)]
    for name, times in zip(("socket", "WebRTC"), zip(*rounds, strict=True), strict=True):
        for field in ("start", "first", "behind", *(["held"] if name == "WebRTC" else [])):
            _print(f"{name}: {field}", [getattr(one, field) for one in times])
    _print("WebRTC less socket: first", [rtc.first - socket.first for socket, rtc in rounds])


def _print(name: str, seconds: list[float]) -> None:
    print(f"{name:>28}: {1000 * median(seconds):6.1f} ms ({1000 * min(seconds):.1f} to {1000 * max(seconds):.1f})")


if __name__ == "__main__":
    main()
