"""Features on disk, so that real clips go through a network once, however many methods are compared with them."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from media import write_atomically
from networks.weights import Network


class FeatureCache:
    """Arrays under a key of pixels, weights and protocol. Without a folder nothing is kept."""

    def __init__(self, folder: Path | None = None):
        self._folder = folder

    def get(self, network: Network, frames: np.ndarray, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """What `compute` returns for these frames, or returned before.

        Args:
            network: its hash and protocol are part of the key.
            frames: `(T, H, W, 3)` uint8, or a file's bytes where a network reads that; part of the key.
            compute: called when nothing is kept.
        """
        if self._folder is None:
            return compute()
        digest = hashlib.sha256(
            f"{network.architecture}\0{network.sha256}\0{network.protocol}\0{frames.shape}".encode()
        )
        digest.update(np.ascontiguousarray(frames).data)
        file = self._folder / digest.hexdigest()[:2] / f"{digest.hexdigest()}.npy"
        if file.is_file():
            return np.load(file, allow_pickle=False)
        values = compute()
        buffer = io.BytesIO()
        np.save(buffer, values, allow_pickle=False)
        write_atomically(file, buffer.getvalue())
        return values
