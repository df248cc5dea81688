"""The I3D of Kinetics-400 that FVD is computed with, as the torchscript file that StyleGAN-V published."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from evaluation.metrics.distances.distributions import I3D
from evaluation.metrics.errors import MetricError
from networks.on_device import CPU, OnDevice
from networks.weights import identify, opened

FEATURES, SIDE, WINDOW, FEWEST = 400, 224, 16, 10
PROTOCOL = "windows of 16 frames; [0, 1], shorter side to 224 (bilinear), centre crop, [-1, 1]; 400 logits, rescale and resize off"
REMEDY = "download i3d_torchscript.pt (github.com/universome/stylegan-v, or common_metrics_on_video_quality) and give its path"


def preprocessed(frames: np.ndarray) -> Tensor:
    """`(T, H, W, 3)` uint8 to `(3, T, 224, 224)` in [-1, 1]; the longer side loses what does not fit, equally at both ends."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 255
    height, width = pixels.shape[2:]
    scale = SIDE / min(height, width)
    size = (SIDE, int(np.ceil(width * scale))) if height < width else (int(np.ceil(height * scale)), SIDE)
    pixels = F.interpolate(pixels, size, mode="bilinear", align_corners=False)
    top, left = (size[0] - SIDE) // 2, (size[1] - SIDE) // 2
    return ((pixels[:, :, top : top + SIDE, left : left + SIDE] - 0.5) * 2).permute(1, 0, 2, 3)


def windows(frames: int) -> list[slice]:
    """Consecutive windows of 16 frames; of a clip of 10 to 15 frames all of it.

    Raises:
        MetricError: fewer than 10 frames, which the network's pooling does not take.
    """
    if frames < FEWEST:
        raise MetricError(f"FVD needs clips of {FEWEST} frames or more, not {frames}; generate longer ones")
    return [slice(start, start + WINDOW) for start in range(0, max(1, frames - WINDOW + 1), WINDOW)]


class I3DFeatures:
    """Features of clips. `network` names the weights."""

    def __init__(self, path: Path, batch_size: int = 4, device: torch.device = CPU):
        """Load by path, onto `device`.

        Raises:
            NetworkError: no such file, or no torchscript with this interface.
        """
        self.network = identify(path, I3D, PROTOCOL, REMEDY)
        self._batch_size = batch_size
        self._model = opened(path, I3D, REMEDY, lambda: OnDevice(torch.jit.load(str(path), "cpu").eval(), device))
        features = opened(path, I3D, REMEDY, lambda: self._features(torch.zeros(1, 3, WINDOW, SIDE, SIDE)))
        opened(path, I3D, REMEDY, lambda: _checked(features))

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB to `(windows, 400)` float32.

        Raises:
            MetricError: fewer than 10 frames.
        """
        parts = windows(len(frames))
        features = []
        for start in range(0, len(parts), self._batch_size):
            batch = torch.stack([preprocessed(frames[part]) for part in parts[start : start + self._batch_size]])
            features.append(self._features(batch).numpy())
        return np.concatenate(features).astype(np.float32)

    def _features(self, pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return self._model(pixels, rescale=False, resize=False, return_features=True)


def _checked(features: Tensor) -> None:
    if features.shape != (1, FEATURES):
        raise ValueError(f"it gives {tuple(features.shape)} for one window, not (1, {FEATURES})")
