"""ArcFace (Deng et al. 2019) as an ONNX file: a face, turned and scaled onto the published template, to a unit vector."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evaluation.metrics.face_similarity import ARCFACE
from evaluation.metrics.wholebody import CONFIDENT, FACE
from networks.weights import identify, opened

SIDE, BATCH = 112, 32
# Where insightface puts eyes, nose and mouth corners in its 112 x 112 crop (its arcface_dst).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float64
)
# The five points among the 68 of iBUG: mean of an eye's six, tip of the nose, corners of the mouth.
FIVE = (slice(36, 42), slice(42, 48), slice(30, 31), slice(48, 49), slice(54, 55))
PROTOCOL = "five points from 68 face points, similarity transform to insightface's 112 template, RGB (x - 127.5) / 127.5, L2-normalised"
REMEDY = (
    "export or download an ArcFace recognition model (insightface's w600k_r50.onnx or glintr100.onnx) and give its path"
)


def five_points(keypoints: np.ndarray) -> np.ndarray | None:
    """`(5, 2)` of `(133, 3)`; None where any of their points is not seen."""
    face = keypoints[FACE]
    if min(face[part, 2].min() for part in FIVE) <= CONFIDENT:
        return None
    return np.stack([face[part, :2].mean(axis=0) for part in FIVE])


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`(2, 3)` rotation, scale and shift that bring `(n, 2)` points closest to `(n, 2)` (Umeyama 1991, equations 40 to 43)."""
    centre, aim = source.mean(axis=0), target.mean(axis=0)
    u, s, vt = np.linalg.svd((target - aim).T @ (source - centre) / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = (u * sign) @ vt
    scale = (s * sign).sum() / ((source - centre) ** 2).sum(axis=1).mean()
    return np.column_stack([scale * rotation, aim - scale * rotation @ centre])


class ArcFaceEmbedding:
    """Embeds the faces of frames. `network` names the weights."""

    def __init__(self, path: Path):
        """Open by path.

        Raises:
            NetworkError: no such file, or no ONNX model that takes 112 x 112 faces.
        """
        self.network = identify(path, ARCFACE, PROTOCOL, REMEDY)
        self._session = opened(path, ARCFACE, REMEDY, lambda: _session(path))
        given = self._session.get_inputs()[0]
        # Published files leave the number of faces open; one that was exported for a single face gets them one by one.
        self._input, self._batch = given.name, given.shape[0] if isinstance(given.shape[0], int) else BATCH

    def __call__(self, frames: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB and `(T, 133, 3)` in its pixels to `(T, D)` float32 of length 1; NaN without a face."""
        points = [five_points(k) for k in keypoints]
        seen = [frame for frame, five in enumerate(points) if five is not None]
        parts = [
            self._embed([_face(frames[i], points[i]) for i in seen[start : start + self._batch]])
            for start in range(0, len(seen), self._batch)
        ]
        vectors = np.full((len(frames), parts[0].shape[1] if parts else 1), np.nan, np.float32)
        if parts:
            vectors[seen] = np.concatenate(parts)
        return vectors

    def _embed(self, faces: list[np.ndarray]) -> np.ndarray:
        vectors = self._session.run(None, {self._input: np.stack(faces)})[0].reshape(len(faces), -1)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _face(image: np.ndarray, five: np.ndarray | None) -> np.ndarray:
    """`(3, 112, 112)` float32 of a frame and its five points."""
    assert five is not None
    face = cv2.warpAffine(image, similarity(five, TEMPLATE), (SIDE, SIDE))
    return ((face.astype(np.float32) - 127.5) / 127.5).transpose(2, 0, 1)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1  # as many threads split sums otherwise, and answers would depend on the machine
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    shape = session.get_inputs()[0].shape
    if list(shape[1:]) != [3, SIDE, SIDE] or len(session.get_outputs()) != 1:
        raise ValueError(
            f"it takes {shape} and gives {len(session.get_outputs())} outputs, not (N, 3, {SIDE}, {SIDE}) and one"
        )
    return session
