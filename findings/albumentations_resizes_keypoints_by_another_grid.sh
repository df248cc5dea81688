#!/usr/bin/env bash
# albumentations 2.0.8 (opencv-python-headless 4.14.0.94, Python 3.11): keypoints leave their pixels when a picture is resized, and stay on them when it is flipped.
#
# Seen: a white square in a picture of 64 x 64, with a keypoint in its middle. Counted so that whole numbers are the middles of pixels, as OpenCV and flips here count (63 - x), the point stays
# in the middle under HorizontalFlip, Rotate, RandomRotate90, Affine and Crop. Resize, LongestMaxSize and RandomScale multiply by the scale, which is right where 0 is the edge of the
# first pixel: the point is off by -1.5 pixels at four times the size, by 0.25 at half: 0.5 * (1 - scale). Counted by edges, it is right in those and off by 1 in flips and turns. So no way of
# counting is right in a pipeline of both, twice the size by Affine and by RandomScale are two places, and the error grows with the scale: of
# pictures that are shrunk to a heatmap of an eighth it is 0.44 of a cell, all to one side, which the network learns. (AlbumentationsX's issue 529 asks which is meant.)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install albumentations==2.0.8 albucore==0.0.24 opencv-python-headless==4.14.0.94 numpy==2.4.6
NO_ALBUMENTATIONS_UPDATE=1 "$work/venv/bin/python" - <<'PY'
import albumentations as A
import cv2
import numpy as np

picture = np.zeros((64, 64, 3), np.uint8)
picture[24:28, 20:24] = 255
MIDDLE = {"middles of pixels": np.array([21.5, 25.5]), "edges of pixels": np.array([22.0, 26.0])}  # x, y
transforms = {  # and how far the point is off, x and y alike, by each way of counting
    "Crop": (A.Crop(8, 8, 40, 40), 0, 0),
    "HorizontalFlip": (A.HorizontalFlip(p=1), 0, -1),
    "Rotate by 180": (A.Rotate((180, 180), p=1), 0, -1),
    "Affine, scale 2": (A.Affine(scale=(2, 2), p=1), 0, 0.5),
    "RandomScale by 2": (A.RandomScale((1, 1), p=1), -0.5, 0),
    "LongestMaxSize to 128": (A.LongestMaxSize(128), -0.5, 0),
    "Resize to 256": (A.Resize(256, 256), -1.5, 0),
    "Resize to 32": (A.Resize(32, 32, interpolation=cv2.INTER_AREA), 0.25, 0),
}
for name, (transform, *expected) in transforms.items():
    pipeline = A.Compose([transform], keypoint_params=A.KeypointParams("xy", remove_invisible=False), seed=0)
    made = pipeline(image=picture, keypoints=np.array(list(MIDDLE.values()), np.float32))
    bright = made["image"][..., 0].astype(float)
    down, across = np.mgrid[: bright.shape[0], : bright.shape[1]]
    middle = np.array([(bright * across).sum(), (bright * down).sum()]) / bright.sum()
    off = made["keypoints"] - np.array([middle, middle + 0.5])
    print(f"{name:22} pixels off, counted by", {way: error.round(2).tolist() for way, error in zip(MIDDLE, off)})
    assert np.abs(off[0] - expected[0]).max() < 0.02, "changed"
    assert np.abs(off[1] - expected[1]).min() < 0.02 and np.abs(off[1]).max() <= abs(expected[1]) + 0.02, "changed"
PY
