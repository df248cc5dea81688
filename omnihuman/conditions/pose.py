"""Pose: keypoint heatmaps on the latent grid and the guider that brings them to the backbone's input channels."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnihuman.latents import fold_frames_into_latents

CONFIDENT = 0.5
# Heatmap cells per latent cell and axis: at stride 8 a cell is 2 pixels, so that position is in which cell is hot, not in
# faint differences of wide blobs. On puppets that is what lets pose be learned at a ratio of 0.25.
FINE = 4


def render_heatmaps(
    keypoints: Tensor, selected: Sequence[int], height: int, width: int, stride: int = 8, sigma: float = 0.8
) -> Tensor:
    """Gaussian heatmaps of COCO-WholeBody-133 keypoints, four cells to a latent cell on either axis.

    Args:
        keypoints: `(B, T, 133, 3)`: x, y in pixels, confidence in [0, 1]. A point below 0.5 leaves its map empty.
        selected: indices of the keypoints to draw.
        height: of the latent grid.
        width: of the latent grid.
        stride: pixels per latent cell.
        sigma: in heatmap cells.

    Returns:
        `(B, len(selected), T, 4 * height, 4 * width)` in [0, 1].
    """
    points = keypoints[:, :, list(selected)].float()
    cell = stride / FINE
    x = (points[..., 0] + 0.5) / cell - 0.5
    y = (points[..., 1] + 0.5) / cell - 0.5
    columns = torch.arange(FINE * width, device=points.device)
    rows = torch.arange(FINE * height, device=points.device)
    across = torch.exp(-((columns - x[..., None]) ** 2) / (2 * sigma**2))
    down = torch.exp(-((rows - y[..., None]) ** 2) / (2 * sigma**2))
    maps = down[..., :, None] * across[..., None, :]
    visible = (points[..., 2] >= CONFIDENT)[..., None, None]
    return (maps * visible).transpose(1, 2)


class PoseGuider(nn.Module):
    """Heatmaps to channels that are stacked with the noisy latent (OmniHuman-1 section 3.1).

    The frames of a latent are folded into channels, a strided convolution brings the heatmaps to the latent grid, two
    residual convolutions look around each cell, the features of the latents before and after are concatenated, and a last
    channel says that pose is present.
    """

    def __init__(self, keypoints: int, channels: int, temporal_stride: int = 4):
        super().__init__()
        self.temporal_stride = temporal_stride
        self.conv_in = nn.Conv3d(temporal_stride * keypoints, channels, (1, FINE, FINE), stride=(1, FINE, FINE))
        self.conv_1 = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1))
        self.conv_2 = nn.Conv3d(channels, channels, (1, 3, 3), padding=(0, 1, 1))
        self.out_channels = 3 * channels + 1

    def forward(self, heatmaps: Tensor) -> Tensor:
        """`(B, K, sn+1, 4h, 4w)` to `(B, 3 C + 1, n+1, h, w)`, s the temporal stride."""
        folded = fold_frames_into_latents(heatmaps, 2, self.temporal_stride)
        folded = folded.permute(0, 1, 3, 2, 4, 5).flatten(1, 2)
        hidden = self.conv_in(folded)
        hidden = hidden + self.conv_2(F.silu(self.conv_1(F.silu(hidden))))
        before = torch.cat([hidden[:, :, :1], hidden[:, :, :-1]], dim=2)
        after = torch.cat([hidden[:, :, 1:], hidden[:, :, -1:]], dim=2)
        return torch.cat([before, hidden, after, torch.ones_like(hidden[:, :1])], dim=1)
