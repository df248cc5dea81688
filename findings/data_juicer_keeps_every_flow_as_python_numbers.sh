#!/usr/bin/env bash
# py-data-juicer 1.6.1 (Python 3.11): the motion filter keeps each optical flow of a clip and turns all of them into Python numbers, which nobody gets.
#
# Seen: `video_motion_score_filter` returns one number a clip. With `if_output_optical_flow` left at False it still stacks the flows and calls `tolist()`:
# two Python floats a pixel and flow. Peak memory of 4 s of 1280 x 720 (8 flows at the 2 frames a second of the default, 56 MiB as float32) is
# some 530 MiB above that of 4 s of 320 x 180; a minute of it would take 8 GiB. Shrinking by `size` makes it small. aiohttp, which its modules
# import, is not among its requirements and is installed here beside it; ray too, which the filter would fetch itself when it is made.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install py-data-juicer==1.6.1 aiohttp==3.14.5 ray==2.60.0 opencv-python-headless==4.14.0.94 \
    torch==2.13.0 av==18.1.0 numpy==2.4.6
cat > "$work/peak.py" <<'PY'
import resource
import sys

import cv2
import numpy as np
from data_juicer.ops.filter.video_motion_score_filter import VideoMotionScoreFilter
from data_juicer.utils.constant import Fields, StatsKeys

path, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
noise = np.random.default_rng(0).integers(0, 256, (height, width + 100, 3), np.uint8)
writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"mp4v"), 25.0, (width, height))
for start in range(100):
    writer.write(np.ascontiguousarray(noise[:, start : start + width]))
writer.release()
sample = VideoMotionScoreFilter().compute_stats_single({"videos": [path], Fields.stats: {}})
assert len(sample[Fields.stats][StatsKeys.video_motion_score]) == 1 and set(sample) == {"videos", Fields.stats}
print(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
PY
small=$("$work/venv/bin/python" -W ignore "$work/peak.py" "$work/small.mp4" 320 180 2>/dev/null | tail -1)
large=$("$work/venv/bin/python" -W ignore "$work/peak.py" "$work/large.mp4" 1280 720 2>/dev/null | tail -1)
echo "peak memory: 320 x 180 $small MiB, 1280 x 720 $large MiB"
test $((large - small)) -gt 350
