"""DNSMOS P.835 (Reddy, Gopal and Cutler 2022) out of a package: how good speech sounds, without a reference. Microsoft's weights, MIT."""

from collections.abc import Mapping

import numpy as np

from evaluation.networks.packaged import REMEDY, known_weights, packaged_weights, version
from networks.weights import opened

DNSMOS = "dnsmos-p835"
PACKAGE, WEIGHTS = "speechmos", "dnsmos_models/sig_bak_ovr.onnx"
SHA256 = "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd"
RATE, SECONDS = 16_000, 9.01
# From the network's answers to the scale of listeners, 1 to 5: coefficients of the highest power first, as published beside the weights.
TO_OPINION: Mapping[str, tuple[float, float, float]] = {
    "speech": (-0.08397278, 1.22083953, 0.0052439),
    "background": (-0.13166888, 1.60915514, -0.39604546),
    "overall": (-0.06766283, 1.11546468, 0.04602535),
}


class Dnsmos:
    """Hears speech. `network` names package and weights."""

    def __init__(self) -> None:
        """Open the installed package's weights; the package itself, which asks for librosa, is not imported.

        Raises:
            NetworkError: it is not installed, or holds other weights.
        """
        import onnxruntime

        path = packaged_weights(PACKAGE, WEIGHTS, DNSMOS)
        protocol = (
            f"{PACKAGE} {version(PACKAGE)}; pieces of {SECONDS} s at 16 kHz every second, shorter sound repeated; mean"
        )
        self.network = known_weights(path, DNSMOS, SHA256, protocol)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        self._session = opened(
            path,
            DNSMOS,
            REMEDY,
            lambda: onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]),
        )

    def __call__(self, sound: np.ndarray) -> np.ndarray:
        """`(S,)` float32 at 16 kHz in [-1, 1] to `(3,)`: how good speech, background and all of it sound to listeners, about 1 to 5."""
        size = int(SECONDS * RATE)
        sound = np.asarray(sound, np.float32).clip(-1, 1)
        if len(sound) < size:
            sound = np.tile(sound, -(-size // max(1, len(sound))))[:size]
        pieces = [sound[start : start + size] for start in range(0, len(sound) - size + 1, RATE)]
        # One by one: on a processor six at once gave the same bits and took a sixth longer.
        answers = np.array([self._session.run(None, {"input_1": piece[None]})[0][0] for piece in pieces])
        opinions = [np.polyval(scale, answers[:, i]).mean() for i, scale in enumerate(TO_OPINION.values())]
        return np.array(opinions, np.float32)
