#!/usr/bin/env bash
# imageio 2.38.1 (imageio-ffmpeg 0.8.1, av 18.1.0, Python 3.11): a film of 40 pictures is read as 85, and its rate says six seconds for three.
#
# Seen: 30 pictures a thirtieth of a second apart, then 10 that are a fifth apart, as screen recorders and phones write. PyAV, OpenCV and imageio's
# pyav plugin give 40. The FFMPEG plugin, which `imageio.get_reader` takes for mp4 (diffusers' load_video calls it), gives 85: the program behind it fills up to a
# steady rate, round(30 * 2.8) + 1. Yet its meta data says 14.12 pictures a second, the average of the 40, and `count_frames` says 40. Index over
# rate is 5.95 s for the last picture, which belongs at 2.8 s; labels made per picture of the file slip from the 32nd on. Nothing warns.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 opencv-python-headless==4.14.0.94 imageio==2.38.1 imageio-ffmpeg==0.8.1 numpy==2.4.6
"$work/venv/bin/python" - "$work/film.mp4" <<'PY'
import sys
from fractions import Fraction

import av
import cv2
import imageio.v2
import imageio.v3
import numpy as np

path = sys.argv[1]
times = [Fraction(i, 30) for i in range(30)] + [1 + Fraction(i, 5) for i in range(10)]
with av.open(path, "w") as output:
    stream = output.add_stream("libx264", rate=30)
    stream.width = stream.height = 64
    stream.pix_fmt, stream.options = "yuv420p", {"bf": "0"}
    stream.codec_context.time_base = Fraction(1, 600)
    for index, time in enumerate(times):
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 20 + 5 * index, np.uint8), format="rgb24")
        frame.pts, frame.time_base = int(time * 600), Fraction(1, 600)
        output.mux(stream.encode(frame))
    output.mux(stream.encode())

with av.open(path) as container:
    counts = {"PyAV": sum(1 for _ in container.decode(video=0))}
counts["OpenCV"] = int(cv2.VideoCapture(path).get(cv2.CAP_PROP_FRAME_COUNT))
counts["imageio, pyav"] = len(imageio.v3.imread(path, plugin="pyav"))
with imageio.v2.get_reader(path) as reader:
    rate, counted = reader.get_meta_data()["fps"], reader.count_frames()
    which = [round((float(picture.mean()) - 20) / 5) for picture in reader]
counts["imageio.get_reader"] = len(which)
slips = next(place for place, picture in enumerate(which) if place != picture)
print(counts, f"| count_frames {counted}, rate {rate}, last picture at {(len(which) - 1) / rate:.2f} s by index, at {float(times[-1])} s in the file")
print("pictures it gives from the 30th place on:", which[29:44])
assert counts == {"PyAV": 40, "OpenCV": 40, "imageio, pyav": 40, "imageio.get_reader": round(30 * times[-1]) + 1}, "changed"
assert counted == 40 and rate == 14.12 and slips == 31 and which[-1] == 39, "changed"
PY
