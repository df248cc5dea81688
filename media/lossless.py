"""Videos as bytes that give the very same pixels back: FFV1 (RFC 9043) in Matroska.

Of the codecs that PyAV brings and that keep 8-bit RGB exactly, FFV1 gave the fewest bytes: docs/results/2026-11-29-features.md.
"""

import io
from fractions import Fraction

import av
import numpy as np

# Every frame alone, four slices with checksums; one thread and no identifiers, so that the same frames are the same bytes.
OPTIONS = {"level": "3", "coder": "1", "context": "0", "g": "1", "slices": "4", "slicecrc": "1", "threads": "1"}
MUXER = {"fflags": "+bitexact"}
PIXELS = "bgr0"  # FFV1's 8-bit RGB


def encode_lossless(frames: np.ndarray, fps: float) -> bytes:
    """Bytes of `(T, H, W, 3)` uint8 RGB frames, from which `decode_lossless` gives the same frames."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska", container_options=MUXER) as container:
        video = container.add_stream("ffv1", rate=Fraction(fps).limit_denominator(1001))
        video.width, video.height = frames.shape[2], frames.shape[1]
        video.pix_fmt = PIXELS
        video.options = OPTIONS
        for image in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            container.mux(video.encode(picture.reformat(format=PIXELS)))
        container.mux(video.encode())
    return buffer.getvalue()


def decode_lossless(data: bytes) -> np.ndarray:
    """`(T, H, W, 3)` uint8 RGB frames of what `encode_lossless` gave."""
    with av.open(io.BytesIO(data)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
