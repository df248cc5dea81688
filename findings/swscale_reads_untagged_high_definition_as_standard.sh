#!/usr/bin/env bash
# av 18.1.0 (libswscale 9.5, Python 3.11): frames of high definition that name no matrix become RGB by the one of standard definition.
#
# Seen: saturated red of a film of 1080 lines, made with BT.709 and not tagged, as many cameras and screen recorders write it, is (254, 0, 0) in players and
# (232, 0, 0) from `to_ndarray(format="rgb24")`; green (0, 200, 0) is (16, 235, 6). With src_colorspace=ITU709 both are right within two levels. And back:
# RGB reformatted to yuv420p uses BT.601 at every size and leaves the frame untagged, so from 720 lines on players show another green than was given.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import av, numpy as np
from av.video.reformatter import Colorspace

HEIGHT, WIDTH = 1080, 1920


def yuv(colour: tuple, matrix: int | None) -> av.VideoFrame:
    picture = np.broadcast_to(np.array(colour, np.uint8), (HEIGHT, WIDTH, 3)).copy()
    how = {} if matrix is None else {"dst_colorspace": matrix}
    made = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv444p", **how)
    bare = av.VideoFrame(WIDTH, HEIGHT, "yuv444p")  # the samples alone: no tag comes along
    for plane, source in zip(bare.planes, made.planes, strict=True):
        plane.update(bytes(source))
    return bare


for colour, default in [((254, 0, 0), (232, 0, 0)), ((0, 200, 0), (16, 235, 6))]:
    frame = yuv(colour, Colorspace.ITU709)
    assert frame.colorspace == 2, "unspecified"
    guessed = frame.to_ndarray(format="rgb24")[9, 9]
    told = frame.reformat(format="rgb24", src_colorspace=Colorspace.ITU709).to_ndarray()[9, 9]
    print(f"{colour}: by default {tuple(map(int, guessed))}, with BT.709 {tuple(map(int, told))}")
    assert np.abs(guessed.astype(int) - default).max() <= 2 and np.abs(told.astype(int) - colour).max() <= 2, "changed"
unasked = [np.frombuffer(bytes(p), np.uint8)[0] for p in yuv((0, 200, 0), None).planes]
standard = [np.frombuffer(bytes(p), np.uint8)[0] for p in yuv((0, 200, 0), Colorspace.ITU601).planes]
print("RGB to YCbCr unasked:", [int(v) for v in unasked], "by BT.601:", [int(v) for v in standard])
assert unasked == standard, "changed"
PY
