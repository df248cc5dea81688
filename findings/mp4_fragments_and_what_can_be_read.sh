#!/usr/bin/env bash
# PyAV 18.1.0 with its libavformat 62.12: how much of a growing fragmented mp4 can be read back, by how its fragments are cut.
#
# Three parts of 17 pictures (H.264 with pictures predicted from later ones) and sound go into one file, which is read after each part.
# Seen: cut at key frames (frag_keyframe) a part can be read only when the next one begins: 0, 17, 34 pictures. With a fragment every 0.1 s
# (frag_duration): 12, 29, 46 of them, and all 51 in the end. With frag_every_frame, which promises the most, the finished file gives
# back 32 of its 51 pictures: as many as it has frames of sound. Without sound all 51 come back.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 numpy==2.4.6
cat > "$work/grow.py" <<'PY'
import io, shutil, sys
from fractions import Fraction
import av, numpy as np

def part(seed):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        video = file.add_stream("libx264", rate=25); video.width = video.height = 64
        video.options = {"preset": "veryfast", "threads": "1", "mbtree": "0"}
        for image in np.random.default_rng(seed).integers(0, 255, (17, 64, 64, 3), dtype=np.uint8):
            file.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(video.encode())
    return buffer.getvalue()

def count(path, kind):
    with av.open(path) as file:
        return sum(1 for _ in file.decode(**{kind: 0}))

def grow(path, flags, more, heard):
    file = av.open(path, "w", format="mp4", options={"movflags": flags + "+empty_moov+default_base_moof", "flush_packets": "1", **more})
    video = sound = None; at = samples = 0; counts = []
    for seed in range(3):
        source = av.open(io.BytesIO(part(seed)))
        stream = source.streams.video[0]
        if video is None:
            video = file.add_stream_from_template(stream)
            if heard:
                sound = file.add_stream("aac", rate=16000, layout="mono")
        for packet in source.demux(stream):
            if packet.dts is not None:
                shift = round(Fraction(at, 25) / packet.time_base)
                packet.pts += shift; packet.dts += shift; packet.stream = video
                file.mux(packet)
        at += 17
        while heard and (samples + 1024) / 16000 <= at / 25:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16000, samples, Fraction(1, 16000)
            file.mux(sound.encode(frame)); samples += 1024
        shutil.copy(path, path + ".seen")
        counts.append(count(path + ".seen", "video"))
    if heard:
        file.mux(sound.encode())
    file.close()
    return counts, count(path, "video"), count(path, "audio") if heard else 0

for name, flags, more, heard in (("frag_keyframe", "frag_keyframe", {}, True), ("frag_duration", "frag_keyframe", {"frag_duration": "100000"}, True),
                                 ("frag_every_frame", "frag_every_frame", {}, True), ("frag_every_frame, no sound", "frag_every_frame", {}, False)):
    during, pictures, frames = grow(f"{sys.argv[1]}/x.mp4", flags, more, heard)
    print(f"{name}: while it grows {during}, finished {pictures} pictures, {frames} frames of sound")
PY
said=$("$work/venv/bin/python" "$work/grow.py" "$work"); echo "$said"
grep -q "^frag_keyframe: while it grows \[0, 17, 34\], finished 51 pictures" <<<"$said"
grep -q "^frag_duration: while it grows \[12, 29, 46\], finished 51 pictures" <<<"$said"
grep -q "^frag_every_frame: .* finished 32 pictures, 32 frames" <<<"$said"
grep -q "^frag_every_frame, no sound: .* finished 51 pictures" <<<"$said"
