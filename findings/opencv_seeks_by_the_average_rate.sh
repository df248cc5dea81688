#!/usr/bin/env bash
# opencv 4.14.0.94 (decord 0.6.0, av 18.1.0, Python 3.11): of a variable frame rate OpenCV seeks to other pictures than it reads at those places.
#
# Seen: 30 pictures a thirtieth of a second apart, then 10 that are a fifth apart, as screen recorders and phones write. Read in order, OpenCV gives all 40, each with its right
# CAP_PROP_POS_MSEC. Set to 500 ms it gives picture 7, which belongs at 233 ms, and not 15: it takes the average of 14.1 pictures a second for the rate. By
# number, the first 21 are right, 21 gives picture 26, 26 gives 37, and from 29 on there is none although CAP_PROP_FRAME_COUNT says 40. `decord` gives all 40 by
# number. With a steady rate all agree, so a test on such files finds nothing. Whoever cuts windows out of people's clips with set() and labels them by
# the times or numbers that were read in order trains on lips of another moment. Read from the start and count, or seek by the stream's own times (PyAV).
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 opencv-python-headless==4.14.0.94 decord==0.6.0 numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY' 2>/dev/null
import sys
from fractions import Fraction

import av
import cv2
import decord
import numpy as np


def write(path: str, times: list[Fraction]) -> None:
    with av.open(path, "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.options = "yuv420p", {"bf": "0", "g": "10"}
        stream.codec_context.time_base = Fraction(1, 600)
        for index, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 + 5 * index, np.uint8), format="rgb24")
            frame.pts, frame.time_base = int(time * 600), Fraction(1, 600)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())


def number(picture: np.ndarray) -> int:
    return round((float(picture.mean()) - 20) / 5)


def at(path: str, what: int, places: list[float]) -> list[int | None]:
    """The pictures after `set(what, place)`."""
    video, found = cv2.VideoCapture(path), []
    for place in places:
        video.set(what, place)
        read, picture = video.read()
        found.append(number(picture) if read else None)
    return found


def in_order(path: str) -> tuple[list[int], list[float]]:
    video, numbers, milliseconds = cv2.VideoCapture(path), [], []
    while True:
        read, picture = video.read()
        if not read:
            return numbers, milliseconds
        numbers.append(number(picture))
        milliseconds.append(video.get(cv2.CAP_PROP_POS_MSEC))


every = list(range(40))
variable = [Fraction(i, 30) for i in range(30)] + [1 + Fraction(i, 5) for i in range(10)]
for name, times in (("steady", [Fraction(i, 30) for i in every]), ("variable", variable)):
    path = f"{sys.argv[1]}/{name}.mp4"
    write(path, times)
    numbers, milliseconds = in_order(path)
    assert numbers == every and np.allclose(milliseconds, [float(1000 * t) for t in times], atol=0.6)
    count = int(cv2.VideoCapture(path).get(cv2.CAP_PROP_FRAME_COUNT))
    by_number = at(path, cv2.CAP_PROP_POS_FRAMES, every)
    by_time = at(path, cv2.CAP_PROP_POS_MSEC, milliseconds)
    reader = decord.VideoReader(path)
    assert count == 40 and [number(reader[i].asnumpy()) for i in every] == every
    print(f"{name}: read in order 0 to 39, CAP_PROP_FRAME_COUNT {count}, decord by number 0 to 39")
    print("  OpenCV by number", by_number)
    print("  OpenCV by the times that it gave", by_time)
    if name == "steady":
        assert by_number == by_time == every
    else:
        assert by_number[:21] == every[:21] and by_number[21] == 26 and by_number[26] == 37, "changed"
        assert by_number[28] == 39 and by_number[29:] == [None] * 11, "changed"
        assert by_time[15] == 7 and by_time[30] == 14, "changed"
PY
