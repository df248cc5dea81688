"""rtmlib against curation's own pre- and postprocessing of YOLOX and RTMPose: `pip install --no-deps rtmlib tqdm`,
`python -m benchmarks.libraries.rtmlib_wholebody`. No network runs: both get the same picture and the same made-up outputs."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rtmlib import YOLOX, RTMPose

from curation.people.wholebody import simcc, yolox

SIDE, HEIGHT, WIDTH = 640, 384, 288  # of the detector's input, and of the pose network's
BOX = np.array([30.0, 40.0, 200.0, 400.0])
REPEATS = 50


def milliseconds(call: Callable[[], Any]) -> float:
    """Of CPU, for one call."""
    began = time.process_time()
    for _ in range(REPEATS):
        call()
    return (time.process_time() - began) / REPEATS * 1e3


def main() -> None:
    """Print the largest differences, and what preparing a picture costs."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (480, 270, 3)).astype(np.uint8)
    # Its constructors want a file and fetch one that is not there; pre- and postprocessing need only these values.
    detector, pose = YOLOX.__new__(YOLOX), RTMPose.__new__(RTMPose)
    detector.model_input_size, detector.nms_thr, detector.score_thr = (SIDE, SIDE), yolox.OVERLAP, yolox.CONFIDENT
    detector.det_mode = "human"
    pose.model_input_size, pose.mean, pose.std = (WIDTH, HEIGHT), tuple(simcc.MEAN), tuple(simcc.DEVIATION)
    pose.to_openpose = False

    picture, scale = detector.preprocess(image[..., ::-1].copy())
    own, own_scale = yolox.letterboxed(image, SIDE, SIDE)
    assert scale == own_scale
    print(f"detector's input: largest difference {np.abs(picture.transpose(2, 0, 1) - own[0]).max():g}")

    cells = np.zeros((1, 8400, 85), np.float32)
    cells[..., :2], cells[..., 2:4] = rng.random((1, 8400, 2)), rng.normal(2, 0.5, (1, 8400, 2))
    people = rng.choice(8400, 60, replace=False)
    cells[0, people, 4], cells[0, people, 5] = 0.9, rng.random(60)
    boxes, scores = yolox.decode_grid(cells[0].copy(), SIDE, SIDE)
    likely = scores > yolox.CONFIDENT
    kept = yolox.suppressed(boxes[likely], scores[likely])
    theirs, ours = detector.postprocess(cells.copy(), scale), boxes[likely][kept] / own_scale
    print(
        f"boxes: {len(theirs)} and {len(ours)}, largest difference {np.abs(np.sort(theirs, 0) - np.sort(ours, 0)).max():g}"
    )

    crop, centre, size = pose.preprocess(image, BOX)
    own_centre, own_size = simcc.crop_of(BOX, HEIGHT, WIDTH)
    own = simcc.network_input(image, own_centre, own_size, HEIGHT, WIDTH)
    print(f"pose's input: largest difference {np.abs(crop.transpose(2, 0, 1) - own[0]).max():g}")
    bins = [rng.random((1, 133, side * 2)).astype(np.float32) for side in (WIDTH, HEIGHT)]
    places, confidence = pose.postprocess(bins, centre, size)
    own_places, own_confidence = simcc.decode(bins[0][0], bins[1][0])
    points = own_places / [WIDTH, HEIGHT] * own_size + own_centre - own_size / 2
    print(
        f"keypoints: largest difference {np.abs(places[0] - points).max():g}, of confidence {np.abs(confidence[0] - own_confidence).max():g}"
    )
    for name, call in (
        ("detector's input, rtmlib", lambda: detector.preprocess(image)),
        ("detector's input, own", lambda: yolox.letterboxed(image, SIDE, SIDE)),
        ("pose's input, rtmlib", lambda: pose.preprocess(image, BOX)),
        ("pose's input, own", lambda: simcc.network_input(image, *simcc.crop_of(BOX, HEIGHT, WIDTH), HEIGHT, WIDTH)),
    ):
        print(f"{name}: {milliseconds(call):.2f} ms")


if __name__ == "__main__":
    main()
