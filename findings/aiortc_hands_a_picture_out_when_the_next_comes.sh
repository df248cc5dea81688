#!/usr/bin/env bash
# aiortc: a received picture is handed out when the next one comes, and the last one of a track never.
#
# aiortc 1.16.0, aioice 0.13.0, PyAV 18.1.0, Python 3.11.
# Six pictures are sent at four a second. RTP's marker bit says which packet is a picture's last (RFC 3551, 5; RFC 7741 for VP8), and browsers go by it; aiortc's jitter buffer
# waits for a packet of another timestamp. Whoever measures latency with it measures one picture more, whoever counts pictures finds one less.
#
#   sent 6, received 5
#   each a picture late: True
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --no-compile aiortc==1.16.0 aioice==0.13.0 av==18.1.0 numpy
cat > "$place/seen.py" <<'PY'
import asyncio
import time
from fractions import Fraction

import av
import numpy as np
from aioice import ice
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection

ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]  # no network is needed
SENT, APART = 6, 0.25


class Pictures(MediaStreamTrack):
    kind = "video"

    def __init__(self):
        super().__init__()
        self.times = []

    async def recv(self):
        if len(self.times) == SENT:
            await asyncio.Event().wait()
        await asyncio.sleep(APART)
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        frame.pts, frame.time_base = round(len(self.times) * APART * 90_000), Fraction(1, 90_000)
        self.times.append(time.monotonic())
        return frame


async def main():
    caller, answerer = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
    sent, came = Pictures(), []
    caller.addTrack(sent)

    async def keep(track):
        while True:
            await track.recv()
            came.append(time.monotonic())

    tasks = []
    answerer.on("track", lambda track: tasks.append(asyncio.create_task(keep(track))))
    await caller.setLocalDescription(await caller.createOffer())
    await answerer.setRemoteDescription(caller.localDescription)
    await answerer.setLocalDescription(await answerer.createAnswer())
    await caller.setRemoteDescription(answerer.localDescription)
    while len(sent.times) < SENT:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    print(f"sent {SENT}, received {len(came)}")
    print("each a picture late:", all(seen - left > 0.8 * APART for left, seen in zip(sent.times, came)))
    for task in tasks:
        task.cancel()
    await caller.close()
    await answerer.close()


asyncio.run(main())
PY
seen=$("$place/venv/bin/python" "$place/seen.py")
echo "$seen"
[ "$seen" = "sent 6, received 5
each a picture late: True" ] || { echo "this is no longer what the head says" >&2; exit 1; }
