"""DWPose or RTMW from two ONNX files in a folder: boxes of people, then the keypoints of the main one."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import CurationError
from curation.people.keypoints import KEYPOINTS, Detected
from curation.people.wholebody.simcc import keypoints_in_box
from curation.people.wholebody.yolox import find_people
from curation.weights import onnx_session, weights_version

REMEDY = (
    "put DWPose's yolox_l.onnx and dw-ll_ucoco_384.onnx there (huggingface.co/yzd-v/DWPose), or RTMW's detector and pose "
    "model; the detector's name begins with yolox"
)
STAYS = 2.0  # how much a box gains by lying where the main person was a frame ago


@dataclass(frozen=True)
class OnnxWholeBody:
    """A `KeypointDetector` that counts people. Sessions are opened in the process that uses them.

    Attributes:
        folder: holds the two files.
        detector, pose: their names in it.
        version: of both files' content.
    """

    folder: Path
    detector: str
    pose: str
    version: str
    name: str = "onnx-wholebody"

    @classmethod
    def from_folder(cls, folder: Path) -> "OnnxWholeBody":
        """Find both files.

        Raises:
            CurationError: there is not exactly one `yolox*.onnx` and one other.
        """
        files = sorted(folder.glob("*.onnx")) if folder.is_dir() else []
        detectors = [path for path in files if path.name.startswith("yolox")]
        poses = [path for path in files if path not in detectors]
        if len(detectors) != 1 or len(poses) != 1:
            raise CurationError(f"{folder} must hold one person detector and one pose model (.onnx); {REMEDY}")
        version = f"{weights_version(detectors[0])}-{weights_version(poses[0])}"
        return cls(folder, detectors[0].name, poses[0].name, version)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB to `(T, 133, 3)` float32."""
        return self.detect(frames).keypoints

    def detect(self, frames: np.ndarray) -> Detected:
        """Keypoints of the main person: the largest and surest, who stays the same as long as the boxes overlap."""
        detector, pose = self._sessions
        keypoints = np.zeros((len(frames), KEYPOINTS, 3), np.float32)
        people = np.zeros(len(frames), np.int64)
        before: np.ndarray | None = None
        for t, image in enumerate(frames):
            boxes, scores = find_people(detector, image)
            people[t] = len(boxes)
            if len(boxes):
                before = boxes[main_person(boxes, scores, before)]
                keypoints[t] = keypoints_in_box(pose, image, before)
        return Detected(keypoints, people)

    @cached_property
    def _sessions(self) -> tuple[Any, Any]:
        sessions = onnx_session(self.folder / self.detector), onnx_session(self.folder / self.pose)
        outputs = sessions[1].get_outputs()
        if len(outputs) != 2 or outputs[0].shape[1] != KEYPOINTS:
            raise CurationError(f"{self.folder / self.pose} gives no {KEYPOINTS} SimCC keypoints; {REMEDY}")
        return sessions

    def __getstate__(self) -> dict[str, Any]:
        """Without the sessions, which cannot go to another process."""
        return {key: value for key, value in self.__dict__.items() if key != "_sessions"}


def main_person(boxes: np.ndarray, scores: np.ndarray, before: np.ndarray | None) -> int:
    """Index of the main person's box among `(N, 4)`; `before` is where they were a frame ago."""
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    weight = areas * scores
    if before is not None:
        low, high = np.maximum(boxes[:, :2], before[:2]), np.minimum(boxes[:, 2:], before[2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        union = areas + np.prod(before[2:] - before[:2]) - shared
        weight = weight * (1 + STAYS * shared / np.maximum(union, 1e-6))
    return int(np.argmax(weight))
