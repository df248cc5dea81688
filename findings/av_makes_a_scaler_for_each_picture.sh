#!/usr/bin/env bash
# Pictures of a film that are asked for as RGB one by one take ten times as long to convert as through one scaler.
#
# PyAV 18.1.0, Python 3.11. `frame.to_ndarray(format="rgb24")` and `frame.reformat(...)` of a decoded picture make a scaler of libswscale for that
# picture alone, with threads of its own, and throw it away; the tables that it computes are the same each time. A `VideoReformatter` that is
# made once, told `threads=1`, gives the same bytes. Of small pictures, as datasets for training and metrics have them, making it is most of the time.
#
#   128 x 128, FFV1 to RGB: the same bytes; converted by itself a picture takes more than 1.5 times the processor's time (13 were seen), decoding left out
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --no-compile av==18.1.0 numpy
"$place/venv/bin/python" - <<'PY'
import io
import time

import av
import numpy as np
from av.video.reformatter import VideoReformatter

film, drawn = io.BytesIO(), np.random.default_rng(0).integers(0, 256, (48, 128, 128, 3), np.uint8)
with av.open(film, "w", format="matroska") as container:
    stream = container.add_stream("ffv1", rate=16, width=128, height=128, pix_fmt="bgr0")
    for picture in drawn:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode())


def decoded() -> list[av.VideoFrame]:
    film.seek(0)
    with av.open(film) as container:
        return list(container.decode(video=0))


def each_by_itself() -> list[np.ndarray]:
    return [frame.to_ndarray(format="rgb24") for frame in decoded()]


def through_one() -> list[np.ndarray]:
    scaler = VideoReformatter()
    return [scaler.reformat(frame, format="rgb24", threads=1).to_ndarray() for frame in decoded()]


def seconds(way) -> float:
    least = float("inf")
    for _ in range(7):
        began = time.process_time()
        way()
        least = min(least, time.process_time() - began)
    return least


same = all(map(np.array_equal, each_by_itself(), through_one())) and np.array_equal(through_one(), drawn)
decoding = seconds(decoded)
ratio = (seconds(each_by_itself) - decoding) / (seconds(through_one) - decoding)
print(f"the same bytes: {same}; each by itself takes {ratio:.1f} times as long")
assert same and ratio > 1.5
PY
