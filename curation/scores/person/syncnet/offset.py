"""By how many frames sound and lips are apart, how surely, and how close they come: Sync-C and Sync-D."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SyncResult:
    """`offset` in frames at 25 per second, positive where the sound comes early by so much (syncnet_python's sign);
    `confidence` is Sync-C, `distance` Sync-D."""

    offset: int
    confidence: float
    distance: float


def find_offset(lips: np.ndarray, sound: np.ndarray, vshift: int = 15) -> SyncResult:
    """Mean distance between lips and sound at every shift; the best one, and how far the median lies above it.

    With d(s) the mean over time of the Euclidean distance between lips at i and sound at i + s - vshift (zeros beyond
    the ends): Sync-D = min d, Sync-C = median d - min d, offset = vshift - argmin d.

    Args:
        lips, sound: `(N, D)` embeddings, one per frame.
        vshift: frames searched on either side.

    Raises:
        ValueError: different numbers of frames, or none.
    """
    if lips.shape != sound.shape or not len(lips):
        raise ValueError(f"lips {lips.shape} and sound {sound.shape} must hold equally many frames, and at least one")
    padded = np.pad(sound.astype(np.float64), ((vshift, vshift), (0, 0)))
    shifts = range(2 * vshift + 1)
    # 1e-6 as in torch's pairwise_distance, which the published numbers went through.
    distances = [np.linalg.norm(lips - padded[s : s + len(lips)] + 1e-6, axis=1).mean() for s in shifts]
    best = int(np.argmin(distances))
    # torch.median takes the lower of two middles; there is one middle here, 2 * vshift + 1 being odd.
    return SyncResult(vshift - best, float(np.median(distances) - distances[best]), float(distances[best]))
