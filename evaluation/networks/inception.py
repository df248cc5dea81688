"""The Inception-v3 that FID is defined on (TensorFlow, 2015-12-05), in the key names of pytorch-fid's port of its weights.

Szegedy et al. (2016) with three departures that the port documents and without which the number is not FID: pooling
branches average without counting the padding, the last block pools by maximum, and 1008 classes. torchvision's ImageNet
weights have the same names and 1000 classes; they are another network and are refused.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.metrics.distances.distributions import INCEPTION
from media.weights import fill
from networks.on_device import CPU, OnDevice
from networks.weights import NetworkError, identify, opened, read_weights

FEATURES, CLASSES, SIDE = 2048, 1008, 299
PROTOCOL = "RGB frames to 299 x 299 by antialiased bicubic in float (clean-fid), clipped, (x - 128) / 128; 2048 pooled features"
REMEDY = "download pt_inception-2015-12-05-6726825d.pth (github.com/mseitzer/pytorch-fid, releases) and give its path"


class _Conv(nn.Module):
    """Convolution without bias, batch norm (eps 1e-3), ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _A(nn.Module):
    """35 x 35."""

    def __init__(self, inputs: int, pooled: int):
        super().__init__()
        self.branch1x1 = _Conv(inputs, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = _Conv(inputs, 48, 1), _Conv(48, 64, 5, padding=2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, padding=1)
        self.branch_pool = _Conv(inputs, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], 1)


class _B(nn.Module):
    """35 x 35 to 17 x 17."""

    def __init__(self, inputs: int):
        super().__init__()
        self.branch3x3 = _Conv(inputs, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 64, 1), _Conv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = _Conv(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), three, F.max_pool2d(x, 3, 2)], 1)


class _C(nn.Module):
    """17 x 17, with convolutions of 1 x 7 and 7 x 1."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        across, down = ((1, 7), 1, (0, 3)), ((7, 1), 1, (3, 0))
        self.branch1x1 = _Conv(inputs, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = _Conv(inputs, width, 1), _Conv(width, width, *across)
        self.branch7x7_3 = _Conv(width, 192, *down)
        self.branch7x7dbl_1, self.branch7x7dbl_2 = _Conv(inputs, width, 1), _Conv(width, width, *down)
        self.branch7x7dbl_3, self.branch7x7dbl_4 = _Conv(width, width, *across), _Conv(width, width, *down)
        self.branch7x7dbl_5 = _Conv(width, 192, *across)
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], 1)


class _D(nn.Module):
    """17 x 17 to 8 x 8."""

    def __init__(self, inputs: int):
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = _Conv(inputs, 192, 1), _Conv(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = _Conv(inputs, 192, 1), _Conv(192, 192, (1, 7), 1, (0, 3))
        self.branch7x7x3_3, self.branch7x7x3_4 = _Conv(192, 192, (7, 1), 1, (3, 0)), _Conv(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class _E(nn.Module):
    """8 x 8. `pool` is the pooling branch: averaged in the first of the two blocks, maximal in the second."""

    def __init__(self, inputs: int, maximum: bool):
        super().__init__()
        self.maximum = maximum
        across, down = ((1, 3), 1, (0, 1)), ((3, 1), 1, (1, 0))
        self.branch1x1, self.branch3x3_1 = _Conv(inputs, 320, 1), _Conv(inputs, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = _Conv(384, 384, *across), _Conv(384, 384, *down)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _Conv(inputs, 448, 1), _Conv(448, 384, 3, padding=1)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = _Conv(384, 384, *across), _Conv(384, 384, *down)
        self.branch_pool = _Conv(inputs, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        pooled = F.max_pool2d(x, 3, stride=1, padding=1) if self.maximum else _average(x)
        parts = [self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        parts += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(pooled)]
        return torch.cat(parts, 1)


class InceptionV3(nn.Module):
    """`(N, 3, 299, 299)` RGB as (x - 128) / 128 to `(N, 2048)` pooled features. `fc` is there because the file has it."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = _Conv(3, 32, 3, 2), _Conv(32, 32, 3)
        self.Conv2d_2b_3x3, self.Conv2d_3b_1x1 = _Conv(32, 64, 3, padding=1), _Conv(64, 80, 1)
        self.Conv2d_4a_3x3 = _Conv(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _A(192, 32), _A(256, 64), _A(288, 64)
        self.Mixed_6a = _B(288)
        self.Mixed_6b, self.Mixed_6c = _C(768, 128), _C(768, 160)
        self.Mixed_6d, self.Mixed_6e = _C(768, 160), _C(768, 192)
        self.Mixed_7a = _D(768)
        self.Mixed_7b, self.Mixed_7c = _E(1280, maximum=False), _E(2048, maximum=True)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))), 3, 2)
        x = F.max_pool2d(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)), 3, 2)
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        x = self.Mixed_7a(self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x)))))
        return self.Mixed_7c(self.Mixed_7b(x)).mean(dim=(2, 3))


def resized(frames: np.ndarray) -> Tensor:
    """`(T, H, W, 3)` uint8 to `(T, 3, 299, 299)` float in [0, 255], as clean-fid does (Parmar et al. 2022): bicubic with
    antialiasing on floats, each channel alone, clipped and not rounded."""
    pixels = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    return F.interpolate(pixels, (SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True).clamp(0, 255)


class InceptionFeatures:
    """Features of frames. `network` names the weights."""

    def __init__(self, path: Path, batch_size: int = 32, device: torch.device = CPU):
        """Load by path, onto `device`.

        Raises:
            NetworkError: no such file, or other weights in it.
        """
        self.network = identify(path, INCEPTION, PROTOCOL, REMEDY)
        self._batch_size = batch_size
        self._model = opened(path, INCEPTION, REMEDY, lambda: OnDevice(load_inception(path), device))

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB to `(T, 2048)` float32."""
        starts = range(0, len(frames), self._batch_size)
        with torch.inference_mode():
            parts = [self._model((resized(frames[i : i + self._batch_size]) - 128) / 128).numpy() for i in starts]
        return np.concatenate(parts)


def load_inception(path: Path) -> InceptionV3:
    """The published `.pth` (only tensors are unpickled), or safetensors with the same names.

    Raises:
        NetworkError: torchvision's ImageNet weights.
        WrongWeights: keys or shapes that do not fit.
    """
    state = read_weights(path, REMEDY)
    if "fc.weight" in state and len(state["fc.weight"]) != CLASSES:
        raise NetworkError(
            f"it has {len(state['fc.weight'])} classes, the network of FID has {CLASSES}: these are ImageNet weights"
        )
    model = InceptionV3()
    # Counters of batches came to PyTorch after the port: files without them are whole.
    fill(model, state, path, REMEDY, may_lack=(r".*num_batches_tracked$",))
    return model.eval()
