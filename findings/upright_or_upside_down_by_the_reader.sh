#!/usr/bin/env bash
# transformers 5.23.0 (av 18.1.0, opencv 4.14.0.94, decord 0.6.0, imageio 2.38.1, Python 3.11): one video is upright or upside down, by backend.
#
# Seen: an mp4 of which the display matrix asks for half a turn, as a phone writes that was held the other way round. OpenCV, decord and imageio's FFMPEG plugin
# turn the pictures; PyAV and imageio's pyav plugin give them as they are stored. `transformers.video_utils.load_video`, whose documentation lists
# the backends as equals, gives the stored ones with "pyav" (its default) and turned ones with "opencv" and "decord". Half a turn keeps the shape, so no
# assertion about sizes finds it. PyAV says it in `frame.rotation`, which is then for the caller to apply.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 opencv-python-headless==4.14.0.94 decord==0.6.0 imageio==2.38.1 imageio-ffmpeg==0.8.1 \
  transformers==5.23.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work/film.mp4" <<'PY' 2>/dev/null
import sys

import av
import cv2
import decord
import imageio.v3 as iio
import numpy as np
from transformers.video_utils import load_video

path = sys.argv[1]
stored = np.full((48, 64, 3), 40, np.uint8)
stored[:24] = 220  # the bright half is on top as stored, and below as it is to be shown
with av.open(path, "w") as output:
    stream = output.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    stream.set_display_rotation(180)
    for _ in range(5):
        output.mux(stream.encode(av.VideoFrame.from_ndarray(stored, format="rgb24")))
    output.mux(stream.encode())

with av.open(path) as container:
    frame = next(container.decode(video=0))
pictures = {
    "PyAV": frame.to_ndarray(format="rgb24"),
    "OpenCV": cv2.VideoCapture(path).read()[1],
    "decord": decord.VideoReader(path)[0].asnumpy(),
    "imageio, pyav": iio.imread(path, plugin="pyav", index=0),
    "imageio, FFMPEG": iio.imread(path, plugin="FFMPEG", index=0),
}
for backend in ("pyav", "opencv", "decord"):
    pictures[f"transformers, {backend}"] = load_video(path, num_frames=5, backend=backend)[0][0]
seen = {name: "as stored" if picture[4].mean() > picture[-5].mean() else "turned" for name, picture in pictures.items()}
for name, how in seen.items():
    print(f"{name:22} {pictures[name].shape} {how}")
print("PyAV's frame.rotation", frame.rotation)
assert {picture.shape for picture in pictures.values()} == {(48, 64, 3)} and abs(frame.rotation) == 180
assert [name for name, how in seen.items() if how == "as stored"] == ["PyAV", "imageio, pyav", "transformers, pyav"], "changed"
PY
