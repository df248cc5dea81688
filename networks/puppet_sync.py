"""Puppet sync: two small towers that tell which sound belongs to which mouth, taught on rendered puppets and good for nothing else.

SyncNet's idea (Chung and Zisserman, ACCV workshops 2016) at the puppets' size: 16 frames per second, a mouth of 16 x 16 pixels,
five frames to a window. Its numbers are not Sync-C and Sync-D and are not comparable with them. `training/recipes/puppet_sync.py` makes
the weights.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from media.weights import WrongWeights, fill
from networks.weights import NetworkError, read_weights

FPS, RATE = 16.0, 16_000
WINDOW = 5  # frames
SIDE = 16  # pixels of the mouth's cut, a quarter of the puppets' height
EMBEDDING = 64
FRAME = int(RATE / FPS)  # samples
HOP, SPAN = FRAME // 8, 400  # samples between the beginnings of spectra, and of one
STEPS = (WINDOW * FRAME - SPAN) // HOP + 1  # spectra of a window
BANDS = 16  # of the spectrum up to 4 kHz, beside the loudness


class PuppetSync(nn.Module):
    """Mouths and sound of five frames each to unit vectors that point the same way where they belong together."""

    def __init__(self) -> None:
        super().__init__()
        self.lips = nn.Sequential(
            nn.Conv2d(3 * WINDOW, 32, 3, padding=1), nn.GroupNorm(4, 32), nn.SiLU(),
            nn.Conv2d(32, 48, 3, 2, padding=1), nn.GroupNorm(4, 48), nn.SiLU(),
            nn.Conv2d(48, 64, 3, 2, padding=1), nn.GroupNorm(4, 64), nn.SiLU(),
            nn.Flatten(), nn.Linear(64 * 16, EMBEDDING),
        )  # fmt: skip
        self.sound = nn.Sequential(
            nn.Conv1d(BANDS + 1, 48, 5, 2), nn.GroupNorm(4, 48), nn.SiLU(),
            nn.Conv1d(48, 64, 3, 2), nn.GroupNorm(4, 64), nn.SiLU(),
            nn.Conv1d(64, 64, 3, 2), nn.SiLU(),
            nn.Flatten(), nn.Linear(64 * 3, EMBEDDING),
        )  # fmt: skip

    def embed_lips(self, mouths: Tensor) -> Tensor:
        """`(B, T, 16, 16, 3)` RGB in [0, 1] to `(B, T - 4, 64)`, one vector for each window of five frames."""
        windows = mouths.permute(0, 1, 4, 2, 3).unfold(1, WINDOW, 1)
        vectors = self.lips(windows.permute(0, 1, 5, 2, 3, 4).flatten(2, 3).flatten(0, 1) - 0.5)
        return F.normalize(vectors, dim=-1).unflatten(0, windows.shape[:2])

    def embed_sound(self, audio: Tensor) -> Tensor:
        """`(B, S)` float at 16 kHz to `(B, S // 1000 - 4, 64)`, one vector for each window that begins with a frame."""
        windows = spectra(audio).unfold(1, STEPS, FRAME // HOP)
        return F.normalize(self.sound(windows.flatten(0, 1)), dim=-1).unflatten(0, windows.shape[:2])


def spectra(audio: Tensor) -> Tensor:
    """`(B, S)` to `(B, 1 + (S - 400) // 125, 17)`: log10 of the energy in 16 bands up to 4 kHz, and of the loudness, times four."""
    pieces = audio.unfold(1, SPAN, HOP)
    power = torch.fft.rfft(pieces * torch.hann_window(SPAN, device=audio.device), dim=-1).abs().square()
    bands = power[..., 1 : 1 + 6 * BANDS].unflatten(-1, (BANDS, 6)).mean(-1)
    loudness = pieces.square().mean(-1, keepdim=True).sqrt()
    return torch.cat([torch.log10(bands + 1e-3), 4 * torch.log10(loudness + 1e-2)], dim=-1)


def cut_mouths(frames: np.ndarray, centre: np.ndarray, side: int = SIDE) -> np.ndarray:
    """The steady square around the mouth, a quarter of the picture's height wide at the default `side`.

    Args:
        frames: `(T, H, W, 3)` uint8 RGB.
        centre: (x, y) of the mouth in pixels, one for the whole clip.
        side: of the result, in pixels of a picture 64 high.

    Returns:
        `(T, side, side, 3)` uint8.
    """
    scale = 64 / frames.shape[1]
    move = np.array([[scale, 0, 0], [0, scale, 0]]) + [[0, 0, (side - 1) / 2]] - np.outer(scale * centre, [0, 0, 1])
    return np.stack([cv2.warpAffine(image, move, (side, side), borderMode=cv2.BORDER_REPLICATE) for image in frames])


@dataclass(frozen=True)
class Shift:
    """`offset`: frames by which the mouth comes after the sound. `confidence`: how far the similarity there lies above its
    median over all shifts, in [0, 2]."""

    offset: int
    confidence: float


def count_windows(frames: int, samples: int) -> int:
    """Windows that `frames` pictures and `samples` at 16 kHz both fill; 0 where there is none."""
    return max(0, min(frames, samples // FRAME) - WINDOW + 1)


@torch.inference_mode()
def embed(network: PuppetSync, mouths: np.ndarray, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`(T, 16, 16, 3)` uint8 mouths and `(S,)` sound at 16 kHz of one clip to `(N, 64)` each, the vectors of their windows.

    Raises:
        ValueError: not one window.
    """
    windows = count_windows(len(mouths), len(audio))
    if not windows:
        raise ValueError(
            f"puppet sync needs {WINDOW} frames and {WINDOW * FRAME} samples, got {len(mouths)} and {len(audio)}"
        )
    lips = network.embed_lips(torch.from_numpy(mouths).float()[None] / 255)
    sound = network.embed_sound(torch.from_numpy(np.asarray(audio, np.float32))[None])
    return lips[0, :windows].numpy(), sound[0, :windows].numpy()


def find_shift(lips: np.ndarray, sound: np.ndarray, lags: int) -> Shift:
    """The shift at which mouths and sound are most alike by mean cosine, of -lags..lags.

    Args:
        lips, sound: `(N, D)` unit vectors of windows that begin with the same frames.
        lags: frames searched on either side.

    Raises:
        ValueError: other numbers of windows, or no more than `lags`.
    """
    if len(lips) != len(sound) or len(lips) <= lags:
        raise ValueError(
            f"{len(lips)} windows of mouths and {len(sound)} of sound cannot be compared over {lags} frames; give longer clips"
        )
    alike = lips @ sound.T
    means = np.array([np.diagonal(alike, -shift).mean() for shift in range(-lags, lags + 1)])
    best = int(means.argmax())
    return Shift(best - lags, float(means[best] - np.median(means)))


def load_puppet_sync(path: Path) -> PuppetSync:
    """Read the weights, safetensors only.

    Raises:
        NetworkError: the file does not hold exactly these parameters.
    """
    from safetensors import SafetensorError

    network, remedy = PuppetSync(), "make them with training/recipes/puppet_sync.py"
    try:
        fill(network, read_weights(path, remedy), path, remedy)
    except (SafetensorError, WrongWeights) as error:
        raise NetworkError(
            f"{path} does not hold the weights of puppet sync ({error}); make them with training/recipes/puppet_sync.py"
        ) from error
    return network.eval().requires_grad_(False)
