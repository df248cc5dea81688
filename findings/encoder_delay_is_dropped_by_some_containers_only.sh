#!/usr/bin/env bash
# av 18.1.0 (libavcodec 62.28, LAME 3.100, Python 3.11): how late sound comes out depends on the container, not on the codec.
#
# Seen: one click at 0.5 s, encoded at 16 kHz, decoded and counted from the first sample. AAC in mp4 0.0 ms late, in ADTS 64.0 ms (one frame of 1024
# samples); MP3 in a file of its own and in Matroska 0.0 ms, in AVI 69.1 ms (1105 samples). mp4, Matroska and LAME's header say how many samples the
# encoder put in front and FFmpeg drops them; ADTS and AVI have no place for the number and give time 0 for the first of them. A bare MP3 file has a
# first time of 69.1 ms, which is no lateness: the samples in front of it were dropped. At 48 kHz all of it is a third.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import io
from fractions import Fraction
import av, numpy as np

RATE = 16_000
CLICK = np.zeros(2 * RATE, np.float32)
CLICK[RATE // 2 : RATE // 2 + 160] = 0.8 * np.sin(np.arange(160) * 0.5)


def decoded(container: str, codec: str) -> tuple:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        picture = output.add_stream("mpeg4", rate=16) if container == "avi" else None
        stream = output.add_stream(codec, rate=RATE, layout="mono")
        if picture is not None:
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
            for _ in range(32):
                output.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
            output.mux(picture.encode())
        for start in range(0, len(CLICK), 1000):
            frame = av.AudioFrame.from_ndarray(CLICK[None, start : start + 1000].copy(), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    with av.open(io.BytesIO(buffer.getvalue())) as source:
        frames = list(source.decode(audio=0))
    samples = np.concatenate([f.to_ndarray()[0] for f in frames])
    return frames[0].time, np.argmax(np.correlate(samples, CLICK[RATE // 2 : RATE // 2 + 160], "valid")) - RATE // 2


for container, codec, first, late in [
    ("mp4", "aac", 0.0, 0), ("adts", "aac", 0.0, 1024), ("mp3", "libmp3lame", 0.069, 0), ("matroska", "libmp3lame", 0.0, 0), ("avi", "libmp3lame", 0.0, 1105),
]:
    time, samples = decoded(container, codec)
    print(f"{container} {codec}: first time {time:.4f} s, click {samples} samples ({samples / RATE * 1000:.1f} ms) late")
    assert abs(time - first) < 0.002 and abs(samples - late) <= 1, "changed"
PY
