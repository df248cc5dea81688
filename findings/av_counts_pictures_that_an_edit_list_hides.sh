#!/usr/bin/env bash
# av 18.1.0 (libavformat 62.12, Python 3.11): `stream.frames` of an mp4 counts pictures that its edit list hides.
#
# Seen: a stream copy that begins between key frames holds the packets from the key frame on and an edit list that hides the first 10; a cut of the
# end is an edit list that stops early. Both say frames = 30. The first gives 20 pictures and 10 packets with `is_discard`; the second, with a key
# frame every third picture, gives 10 pictures and not one such packet: what lies behind the next key frame is never read. `index_entries` without
# `is_discard` counts what is shown in both. A file is not truncated because fewer pictures come than `frames` says.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import io
import av, numpy as np


def film(**options: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("libx264", rate=16)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.options = "yuv420p", options
        for level in range(30, 240, 7):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), format="rgb24")))
        output.mux(stream.encode())
    return buffer.getvalue()


def without_start(data: bytes, seconds: float) -> bytes:
    buffer = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(buffer, "w", format="mp4") as output:
        copied = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                shift = round(seconds / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copied
                output.mux(packet)
    return buffer.getvalue()


def without_end(data: bytes, part: float) -> bytes:
    changed, place = bytearray(data), data.index(b"elst") + 12
    changed[place : place + 4] = round(int.from_bytes(data[place : place + 4], "big") * part).to_bytes(4, "big")
    return bytes(changed)


for name, data, expected in [
    ("start cut off", without_start(film(), 10 / 16), (30, 20, 10, 20)),
    ("end cut off", without_end(film(g="3", bf="0"), 1 / 3), (30, 10, 0, 10)),
]:
    with av.open(io.BytesIO(data)) as container:
        stream, hidden, shown = container.streams.video[0], 0, 0
        for packet in container.demux(stream):
            hidden += packet.is_discard
            shown += len(packet.decode())
        counted = sum(not entry.is_discard for entry in stream.index_entries)
        seen = stream.frames, shown, hidden, counted
    print(f"{name}: frames {seen[0]}, decoded {seen[1]}, packets to discard {seen[2]}, shown by the index {seen[3]}")
    assert seen == expected, "changed"
PY
