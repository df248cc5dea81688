"""133 keypoints in a person's box by RTMPose's head (Jiang et al. 2023; SimCC, Li et al. 2022), ONNX: DWPose, RTMW."""

from typing import Any

import cv2
import numpy as np

MEAN, DEVIATION = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)
PADDING = 1.25  # of the box, as in training
SPLIT = 2.0  # bins of the classification per pixel


def crop_of(box: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre `(2,)` and size `(2,)` (x, y) of the padded box, brought to the input's shape by growing its shorter side."""
    centre = (box[:2] + box[2:]) / 2
    size = (box[2:] - box[:2]) * PADDING
    aspect = width / height
    size = (
        np.array([size[0], size[0] / aspect]) if size[0] > size[1] * aspect else np.array([size[1] * aspect, size[1]])
    )
    return centre, size


def network_input(image: np.ndarray, centre: np.ndarray, size: np.ndarray, height: int, width: int) -> np.ndarray:
    """The crop of `(H, W, 3)` uint8 RGB as `(1, 3, height, width)` float32, normalised."""
    scale = width / size[0]
    shift = np.array([width, height]) / 2 - scale * centre
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.ascontiguousarray(((crop - MEAN) / DEVIATION).transpose(2, 0, 1)[None].astype(np.float32))


def decode(simcc_x: np.ndarray, simcc_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places `(K, 2)` in pixels of the crop and confidences `(K,)` in [0, 1], of two classifications `(K, bins)`.

    The place is each axis' most likely bin; the confidence the lower of the two maxima, as in mmpose.
    """
    places = np.stack([simcc_x.argmax(axis=1), simcc_y.argmax(axis=1)], axis=1) / SPLIT
    confidence = np.minimum(simcc_x.max(axis=1), simcc_y.max(axis=1))
    return places, np.clip(confidence, 0.0, 1.0)


def keypoints_in_box(session: Any, image: np.ndarray, box: np.ndarray) -> np.ndarray:
    """`(133, 3)`: x and y in pixels of `(H, W, 3)` uint8 RGB, confidence; unseen points are all zero."""
    height, width = session.get_inputs()[0].shape[2:]
    centre, size = crop_of(box.astype(np.float64), height, width)
    values = network_input(image, centre, size, height, width)
    simcc_x, simcc_y = session.run(None, {session.get_inputs()[0].name: values})
    places, confidence = decode(simcc_x[0], simcc_y[0])
    points = places / [width, height] * size + centre - size / 2
    return np.concatenate([points, confidence[:, None]], axis=1) * (confidence[:, None] > 0)
