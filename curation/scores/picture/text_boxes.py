"""Overlay text by a text detector: how much of the picture stands in boxes of text (PP-OCR's DB network, ONNX)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from curation.scores.clip_media import Material, evenly
from curation.scores.contract import Score, Values, floats
from curation.weights import kept, onnx_session, weights_file, weights_version
from profiles.scores import TextBoxesConfig

WIDTH, HEIGHT = 640, 352  # the network takes multiples of 32; a picture is fitted inside and padded
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
SMALLEST = 5  # pixels of the network's picture: the short side of a box
UNCLIP = (
    1.6  # the network marks shrunken text; boxes are grown by area * UNCLIP / circumference (Liao et al., AAAI 2020)
)
REMEDY = (
    "run `make people-and-text` (rapidocr-onnxruntime==1.4.4 without its dependencies, which name a second OpenCV), give the "
    "path of a PP-OCR detector, or set it to null"
)


@dataclass(frozen=True)
class TextBox:
    """An upright box in the picture's pixels, and the network's mean confidence inside the marked area."""

    left: float
    top: float
    right: float
    bottom: float
    confidence: float


def network_input(image: np.ndarray) -> tuple[np.ndarray, float]:
    """`(H, W, 3)` uint8 RGB to `(1, 3, 352, 640)` float32, and how many pixels of it make one of the picture."""
    height, width = image.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    fitted = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    fitted[: size[1], : size[0]] = cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    values = (fitted[..., ::-1].astype(np.float32) / 255 - MEAN) / DEVIATION  # trained on BGR pictures
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None]), scale


def boxes_of(probability: np.ndarray, config: TextBoxesConfig, scale: float) -> list[TextBox]:
    """Boxes around what a `(352, 640)` map of probabilities marks as text (differentiable binarisation, its inference)."""
    marked = (probability > config.pixel_confidence).astype(np.uint8)
    contours, _ = cv2.findContours(marked, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    boxes = []
    for contour in contours:
        left, top, width, height = cv2.boundingRect(contour)
        if min(width, height) < SMALLEST:
            continue
        inside = np.zeros((height, width), np.uint8)
        cv2.fillPoly(inside, [contour - [left, top]], 1)
        confidence = float(cv2.mean(probability[top : top + height, left : left + width], inside)[0])
        if confidence >= config.box_confidence:
            grow = width * height * UNCLIP / (2 * (width + height))
            low, high = (left - grow) / scale, (left + width + grow) / scale
            boxes.append(TextBox(low, (top - grow) / scale, high, (top + height + grow) / scale, confidence))
    return boxes


def text_boxes(session: Any, image: np.ndarray, config: TextBoxesConfig) -> list[TextBox]:
    """Text in `(H, W, 3)` uint8 RGB."""
    values, scale = network_input(image)
    (probability,) = session.run(None, {session.get_inputs()[0].name: values})
    return boxes_of(probability[0, 0], config, scale)


def covered_share(boxes: list[TextBox], height: int, width: int) -> float:
    """Share in [0, 1] of the picture that boxes cover; overlaps count once."""
    covered = np.zeros((height, width), bool)
    for box in boxes:
        covered[
            max(0, round(box.top)) : max(0, round(box.bottom)), max(0, round(box.left)) : max(0, round(box.right))
        ] = True
    return float(covered.mean())


def model_file(config: TextBoxesConfig) -> Path:
    """The detector's ONNX file."""
    return weights_file(config.model, "curation.scores.text_boxes.model", REMEDY)


_session = kept(onnx_session)


def score(material: Material, config: TextBoxesConfig) -> Values:
    """Columns `text_boxes` (most in any picture read) and `text_area` (median share of the picture).

    Raises:
        CurationError: no such model.
    """
    path = model_file(config)
    session = _session(str(path), weights_version(path))
    pictures = material.native[evenly(len(material.native), config.frames)]
    boxes_by_picture = [text_boxes(session, image, config) for image in pictures]
    areas = [covered_share(boxes, *pictures.shape[1:3]) for boxes in boxes_by_picture]
    return {"text_boxes": float(max(map(len, boxes_by_picture))), "text_area": float(np.median(areas))}


TEXT_BOXES = Score(
    "text_boxes", "db-1", floats("text_boxes", "text_area"), ("native",), score,
    lambda config: weights_version(model_file(config)),
)  # fmt: skip
