"""People's boxes by YOLOX (Ge et al. 2021), ONNX: the detector that DWPose and RTMW are published with."""

from typing import Any

import cv2
import numpy as np

GREY = 114  # of the padding, as in training
STRIDES = (8, 16, 32)
CONFIDENT, OVERLAP = 0.3, 0.45
PERSON = 0


def letterboxed(image: np.ndarray, height: int, width: int) -> tuple[np.ndarray, float]:
    """`(H, W, 3)` uint8 RGB to `(1, 3, height, width)` float32 BGR in [0, 255], and its pixels per pixel of the image."""
    scale = min(height / image.shape[0], width / image.shape[1])
    size = (int(image.shape[1] * scale), int(image.shape[0] * scale))
    fitted = np.full((height, width, 3), GREY, np.uint8)
    fitted[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(fitted[..., ::-1].transpose(2, 0, 1)[None], np.float32), scale


def decode_grid(output: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes `(N, 4)` as x0, y0, x1, y1 and scores `(N,)` of people from the raw `(cells, 5 + classes)` of all strides.

    A cell's centre is (grid + offset) * stride, its size exp(output) * stride; its score objectness times class.
    """
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = height // stride, width // stride
        x, y = np.meshgrid(np.arange(columns), np.arange(rows))
        cells.append(np.stack([x, y], axis=-1).reshape(-1, 2))
        strides.append(np.full((rows * columns, 1), stride))
    grid, pixels = np.concatenate(cells), np.concatenate(strides)
    centre, size = (output[:, :2] + grid) * pixels, np.exp(output[:, 2:4]) * pixels
    boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
    return boxes, output[:, 4] * output[:, 5 + PERSON]


def suppressed(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices of boxes that no better box covers by more than 0.45, the best first."""
    corners = [[float(x0), float(y0), float(x1 - x0), float(y1 - y0)] for x0, y0, x1, y1 in boxes]
    return np.asarray(cv2.dnn.NMSBoxes(corners, scores.astype(float).tolist(), CONFIDENT, OVERLAP), int).reshape(-1)


def find_people(session: Any, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Boxes `(N, 4)` in pixels of `(H, W, 3)` uint8 RGB, and their scores `(N,)`, the best first.

    Reads both published forms: raw cells (DWPose's `yolox_l.onnx`), or `dets` and `labels` after suppression (RTMW's).
    """
    height, width = session.get_inputs()[0].shape[2:]
    values, scale = letterboxed(image, height, width)
    outputs = session.run(None, {session.get_inputs()[0].name: values})
    if len(outputs) == 2:
        found, labels = outputs[0][0], outputs[1][0]
        found = found[(labels == PERSON) & (found[:, 4] > CONFIDENT)]
        order = np.argsort(-found[:, 4])
        return found[order, :4] / scale, found[order, 4]
    boxes, scores = decode_grid(outputs[0][0], height, width)
    likely = scores > CONFIDENT
    boxes, scores = boxes[likely], scores[likely]
    kept = suppressed(boxes, scores)
    return boxes[kept] / scale, scores[kept]
