"""The two streams of SyncNet v2, with the parameter names of its published weights, so that they load unchanged."""

from pathlib import Path

import torch
from torch import Tensor, nn

from curation.errors import CurationError
from media.weights import fill
from networks.on_device import OnDevice
from networks.weights import read_weights

REMEDY = "download syncnet_v2.model again"

EMBEDDING = 1024


def _block(convolution: nn.Module, norm: nn.Module) -> list[nn.Module]:
    return [convolution, norm, nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))


class SyncNet(nn.Module):
    """Sound and lips of 0.2 s each to vectors that lie close where they belong together.

    Layers as in the paper's VGG-M towers; the order of modules, pools included, gives the published key names.
    """

    def __init__(self) -> None:
        super().__init__()
        conv2, norm2 = nn.Conv2d, nn.BatchNorm2d
        self.netcnnaud = nn.Sequential(
            *_block(conv2(1, 64, 3, padding=1), norm2(64)),
            nn.MaxPool2d(1, 1),
            *_block(conv2(64, 192, 3, padding=1), norm2(192)),
            nn.MaxPool2d(3, (1, 2)),
            *_block(conv2(192, 384, 3, padding=1), norm2(384)),
            *_block(conv2(384, 256, 3, padding=1), norm2(256)),
            *_block(conv2(256, 256, 3, padding=1), norm2(256)),
            nn.MaxPool2d(3, 2),
            *_block(conv2(256, 512, (5, 4)), norm2(512)),
        )
        conv3, norm3 = nn.Conv3d, nn.BatchNorm3d
        self.netcnnlip = nn.Sequential(
            *_block(conv3(3, 96, (5, 7, 7), (1, 2, 2)), norm3(96)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block(conv3(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), norm3(256)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_block(conv3(256, 256, (1, 3, 3), padding=(0, 1, 1)), norm3(256)),
            *_block(conv3(256, 256, (1, 3, 3), padding=(0, 1, 1)), norm3(256)),
            *_block(conv3(256, 256, (1, 3, 3), padding=(0, 1, 1)), norm3(256)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block(conv3(256, 512, (1, 6, 6)), norm3(512)),
        )
        self.netfcaud, self.netfclip = _head(), _head()

    def embed_sound(self, mfcc: Tensor) -> Tensor:
        """`(N, 1, 13, 20)` coefficients to `(N, 1024)`."""
        return self.netfcaud(self.netcnnaud(mfcc).flatten(1))

    def embed_lips(self, faces: Tensor) -> Tensor:
        """`(N, 3, 5, 224, 224)` BGR in [0, 255] to `(N, 1024)`."""
        return self.netfclip(self.netcnnlip(faces).flatten(1))


def load_syncnet(path: Path) -> SyncNet:
    """The published `syncnet_v2.model`, or safetensors with the same names.

    Raises:
        CurationError: the file does not hold exactly these parameters.
    """
    network = SyncNet()
    try:
        fill(network, read_weights(path, REMEDY), path, REMEDY)
    except Exception as error:
        raise CurationError(f"{path} does not hold SyncNet v2's weights ({error}); {REMEDY}") from error
    return network.eval()


class SyncNetStreams:
    """The two streams of SyncNet on a device: given tensors on the processor, they answer there."""

    def __init__(self, path: Path, device: torch.device | str = "cpu"):
        """Load as `load_syncnet`, whose errors it has."""
        self._network = load_syncnet(path)
        self._placed = OnDevice(self._network, torch.device(device))

    def embed_sound(self, mfcc: Tensor) -> Tensor:
        """As of `SyncNet`."""
        return self._placed.through(self._network.embed_sound, mfcc)

    def embed_lips(self, faces: Tensor) -> Tensor:
        """As of `SyncNet`."""
        return self._placed.through(self._network.embed_lips, faces)
