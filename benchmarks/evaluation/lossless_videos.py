"""`python -m benchmarks.evaluation.lossless_videos CLIP`: bytes and CPU time of codecs that give the same pixels back, on a clip's first frames."""

import argparse
import io
import time
import zlib
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream

from media.encode import LOSSLESS, decode_lossless

CODECS = {
    "FFV1, range coder": ("ffv1", "bgr0", LOSSLESS),
    "FFV1, Golomb-Rice": ("ffv1", "bgr0", LOSSLESS | {"coder": "0"}),
    "x264 RGB lossless, ultrafast": ("libx264rgb", "rgb24", {"qp": "0", "preset": "ultrafast", "threads": "1"}),
    "x264 RGB lossless, veryfast": (
        "libx264rgb", "rgb24", {"qp": "0", "preset": "veryfast", "threads": "1", "mbtree": "0"},
    ),
}  # fmt: skip


def first_frames(path: Path, count: int, height: int, width: int) -> np.ndarray:
    """`(T, H, W, 3)` of every second frame, scaled."""
    with av.open(str(path)) as container:
        shown = (frame for number, frame in enumerate(container.decode(container.streams.video[0])) if number % 2 == 0)
        return np.stack([next(shown).reformat(width, height, "rgb24").to_ndarray() for _ in range(count)])


def encode(frames: np.ndarray, codec: str, pixels: str, options: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        video = container.add_stream(codec, rate=16)
        assert isinstance(video, VideoStream)
        video.width, video.height, video.pix_fmt, video.options = frames.shape[2], frames.shape[1], pixels, options
        for image in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)))
        container.mux(video.encode())
    return buffer.getvalue()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", type=Path)
    frames = first_frames(parser.parse_args().clip, 33, 480, 832)
    print("| codec | share of the raw bytes | ms a frame to write | ms a frame to read | same pixels |")
    print("| --- | ---: | ---: | ---: | --- |")
    for name, how in CODECS.items():
        began = time.process_time()
        data = encode(frames, *how)
        written = time.process_time()
        same = np.array_equal(decode_lossless(data), frames)
        took = [1e3 * seconds / len(frames) for seconds in (written - began, time.process_time() - written)]
        print(
            f"| {name} | {len(data) / frames.nbytes:.3f} | {took[0]:.1f} | {took[1]:.1f} | {'yes' if same else 'no'} |"
        )
    began = time.process_time()
    packed = zlib.compress(frames.tobytes(), 1)
    took = [1e3 * (time.process_time() - began) / len(frames)]
    print(f"| zlib level 1 of all bytes | {len(packed) / frames.nbytes:.3f} | {took[0]:.1f} | | yes |")


if __name__ == "__main__":
    main()
