#!/usr/bin/env bash
# opencv 4.14.0.94, decord 0.6.0, imageio 2.38.1, imageio-ffmpeg 0.8.1, av 18.1.0 (Python 3.11): a clap is early or late where picture and sound do not begin together.
#
# Seen: a film flashes and clicks at 0.9 s. In one file the pictures begin at 0.4 s and the sound at 0, in another the other way round, as recorders write them whose camera or
# microphone starts later. The times of PyAV's frames have both at 0.9 s in both. OpenCV counts from the first picture, in CAP_PROP_POS_MSEC too, and so does decord in
# get_frame_timestamp: the flash is at 0.5 s. FFmpeg's program, which imageio's FFMPEG plugin asks, repeats the first picture eight times, and it is at 0.9 s; but sound that
# begins late it writes to a wav without the gap, the click at 0.5 s, as decord's AudioReader does. No pair without PyAV's times is right in both files, in mp4 and Matroska alike, and
# where both begin at 0 all agree. Lips that are 0.4 s off train a model, and a score of synchrony, on noise. `-af aresample=async=1:first_pts=0` gives FFmpeg's wav its gap.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 opencv-python-headless==4.14.0.94 decord==0.6.0 imageio==2.38.1 imageio-ffmpeg==0.8.1 numpy==2.4.6
"$work/venv/bin/python" - "$work" <<'PY'
import subprocess
import sys
from fractions import Fraction

import av
import cv2
import decord
import imageio.v2
import imageio_ffmpeg
import numpy as np

FPS, RATE, CLAP, LATE, END = 20, 48000, Fraction(9, 10), Fraction(4, 10), Fraction(14, 10)


def film(path: str, picture_from: Fraction, sound_from: Fraction) -> None:
    """A lossless film until `END` with one bright picture and one loud moment at `CLAP`."""
    with av.open(path, "w") as output:
        pictures, sound = output.add_stream("libx264", rate=FPS), output.add_stream("flac", rate=RATE, layout="mono")
        pictures.width = pictures.height = 64
        pictures.pix_fmt, pictures.options = "yuv420p", {"bf": "0"}
        for number in range(int(picture_from * FPS), int(END * FPS)):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 240 if number == CLAP * FPS else 20, np.uint8), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            output.mux(pictures.encode(frame))
        output.mux(pictures.encode())
        samples = np.zeros((1, int((END - sound_from) * RATE)), np.int16)
        samples[0, int((CLAP - sound_from) * RATE) :][:480] = 30000
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, int(sound_from * RATE), Fraction(1, RATE)
        output.mux(sound.encode(frame))
        output.mux(sound.encode())


def click(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(samples) > 0.5) / RATE)


def flashes(path: str) -> dict[str, float]:
    with av.open(path) as container:
        frames = [(float(frame.time), frame.to_ndarray(format="rgb24").mean()) for frame in container.decode(video=0)]
    seen = {"av, frame.time": max(frames, key=lambda frame: frame[1])[0]}
    capture, times = cv2.VideoCapture(path), []
    while (read := capture.read())[0]:
        times.append((capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, read[1].mean()))
    seen["opencv, POS_MSEC"] = max(times, key=lambda frame: frame[1])[0]
    reader = decord.VideoReader(path)
    brightest = int(np.argmax([reader[index].asnumpy().mean() for index in range(len(reader))]))
    seen["decord, get_frame_timestamp"] = float(reader.get_frame_timestamp(brightest)[0])
    with imageio.v2.get_reader(path) as reader:
        seen["imageio, FFMPEG"] = float(np.argmax([picture.mean() for picture in reader]) / FPS)
    return seen


def by_ffmpeg(path: str, *options: str) -> float:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", path, *options, "-f", "s16le", "-ac", "1", "-ar", str(RATE), "-"]
    return click(np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<i2") / 32768)


def clicks(path: str) -> dict[str, float]:
    with av.open(path) as container:
        frames = [(float(frame.time), frame.to_ndarray()[0] / 32768) for frame in container.decode(audio=0)]
    loud = next((time, samples) for time, samples in frames if np.abs(samples).max() > 0.5)
    return {
        "av, frame.time": loud[0] + click(loud[1]),
        "ffmpeg's wav": by_ffmpeg(path),
        "decord, AudioReader": click(decord.AudioReader(path, sample_rate=RATE, mono=True)[:].asnumpy()[0]),
        "ffmpeg's wav, first_pts=0": by_ffmpeg(path, "-af", "aresample=async=1:first_pts=0"),
    }


for name, picture_from, sound_from in (("together", 0, 0), ("picture late", LATE, 0), ("sound late", 0, LATE)):
    early_flash = 0.5 if name == "picture late" else 0.9
    early_click = 0.5 if name == "sound late" else 0.9
    for ending in ("mp4", "mkv"):
        path = f"{sys.argv[1]}/{name.replace(' ', '-')}.{ending}"
        film(path, Fraction(picture_from), Fraction(sound_from))
        flash, heard = flashes(path), clicks(path)
        for what, seen in (("flash", flash), ("click", heard)):
            print(f"{name:13}{ending} {what}", {reader: round(time, 2) for reader, time in seen.items()})
        assert {reader: round(time, 2) for reader, time in flash.items()} == {
            "av, frame.time": 0.9, "opencv, POS_MSEC": early_flash, "decord, get_frame_timestamp": early_flash, "imageio, FFMPEG": 0.9
        }, "changed"
        assert {reader: round(time, 2) for reader, time in heard.items()} == {
            "av, frame.time": 0.9, "ffmpeg's wav": early_click, "decord, AudioReader": early_click, "ffmpeg's wav, first_pts=0": 0.9
        }, "changed"
PY
