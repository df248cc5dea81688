#!/usr/bin/env bash
# torch 2.13.0 (CPU, with Pillow 13.0.0 and opencv 4.14.0.94, Python 3.11): antialias=True changes a picture that is enlarged, too.
#
# The documentation of torch.nn.functional.interpolate says that the flag makes results match Pillow's "for downsampling operation". Expected by most: nothing to
# filter, no difference when enlarging. Seen: a single bright pixel four times enlarged, mode "bicubic", undershoots to -0.110 without the flag and to -0.073
# with it. The flag swaps the curve: Keys' cubic with a = -0.75, which OpenCV has as well, for that with a = -0.5, which Pillow has. So a
# pipeline that sets it to be safe, or moves from cv2 to Pillow, gets other pixels at every size, by up to 0.037 of full scale here. "bilinear" is the same either way.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install torch==2.13.0 pillow==13.0.0 opencv-python-headless==4.14.0.94 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY'
import cv2
import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

SCALE, WIDTH, BRIGHT = 4, 16, 8
row = np.zeros((1, WIDTH), np.float32)
row[0, BRIGHT] = 1


def keys(a: float) -> np.ndarray:
    """Keys (1981), equation 4, about the bright pixel, at the centres of the enlarged pixels."""
    distance = np.abs((np.arange(WIDTH * SCALE) + 0.5) / SCALE - 0.5 - BRIGHT)
    near = (a + 2) * distance**3 - (a + 3) * distance**2 + 1
    far = a * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))


def by_torch(mode: str, antialias: bool) -> np.ndarray:
    return interpolate(torch.from_numpy(row)[None, None], (1, WIDTH * SCALE), mode=mode, antialias=antialias).numpy()[0, 0, 0]


found = {
    "torch, antialias=False": by_torch("bicubic", False),
    "cv2.INTER_CUBIC": cv2.resize(row, (WIDTH * SCALE, 1), interpolation=cv2.INTER_CUBIC)[0],
    "torch, antialias=True": by_torch("bicubic", True),
    "Image.BICUBIC": np.asarray(Image.fromarray(row).resize((WIDTH * SCALE, 1), Image.BICUBIC))[0],
}
for (name, enlarged), a in zip(found.items(), (-0.75, -0.75, -0.5, -0.5), strict=True):
    print(f"{name:22} lowest {enlarged.min():.3f}, highest {enlarged.max():.3f}: Keys' cubic with a = {a}")
    assert np.abs(enlarged - keys(a)).max() < 1e-4, "changed"
print(f"difference by the flag: {np.abs(found['torch, antialias=True'] - found['torch, antialias=False']).max():.3f}")
assert np.abs(by_torch("bilinear", True) - by_torch("bilinear", False)).max() < 1e-6, "changed"
PY
