#!/usr/bin/env bash
# av 18.1.0 (libavformat 62.12, Python 3.11): a seek that fails on a bare H.264 stream still leaves the stream at its end.
#
# Seen: of a bare stream of 160 pictures one is decoded, then `seek` raises PermissionError (1, 'Operation not permitted'), as such a stream has no
# times. Whoever catches that and reads on gets 2 pictures of the remaining 159 and no further error. The container has to be opened anew. Matroska with
# the same packets seeks, and gives the rest.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import io
import av, numpy as np


def film(container: str) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.gop_size, stream.options = "yuv420p", 12, {"threads": "1"}
        for level in np.random.default_rng(0).integers(30, 225, 160):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((64, 64, 3), level, np.uint8), format="rgb24")))
        output.mux(stream.encode())
    return buffer.getvalue()


def rest_after_seek(data: bytes) -> tuple:
    with av.open(io.BytesIO(data)) as container:
        stream, raised = container.streams.video[0], ""
        stream.thread_type = "NONE"
        frames = (frame for packet in container.demux(stream) for frame in packet.decode())
        next(frames)
        try:
            container.seek(int(5.0 / stream.time_base), stream=stream, backward=True)
        except av.FFmpegError as error:
            raised = type(error).__name__
        return raised, sum(1 for _ in frames)


for container, expected in [("h264", ("PermissionError", 2)), ("matroska", ("", 40))]:
    seen = rest_after_seek(film(container))
    print(f"{container}: seek raised {seen[0] or 'nothing'}, {seen[1]} pictures after it")
    assert seen[0] == expected[0] and abs(seen[1] - expected[1]) <= (0 if seen[0] else 12), "changed"
PY
