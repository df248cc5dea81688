"""Peak memory of `omnihuman generate` for a short and for a long video: `python -m benchmarks.generation.long_video_memory`.

The model is untrained and of the laptop profile's size: it makes frames, not sense, and memory does not depend on that.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from benchmarks.fresh_process import usage_of
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from puppets import render
from training.stages.model import build_transformer

SECONDS = (10, 60)
ROOT = Path(__file__).resolve().parents[2]


def prepare(folder: Path) -> None:
    """model/, face.png and voice.wav, the voice as long as the longest video."""
    profile = load_profile("laptop", [])
    build_pipeline(profile, build_transformer(profile, None, 0), 1).save_pretrained(
        folder / "model", safe_serialization=True
    )
    person = render(90_000_001)
    Image.fromarray(person.frames[0]).save(folder / "face.png")
    soundfile.write(folder / "voice.wav", np.tile(person.audio, 1 + max(SECONDS)), 16_000)


def generate_arguments(folder: Path, seconds: int, output: Path) -> list[str]:
    """`omnihuman generate` of what `prepare` made, as `python` takes it."""
    return [
        "-m", "orchestration.commands.cli", "generate", "--model", str(folder / "model"), "--image", str(folder / "face.png"),
        "--audio", str(folder / "voice.wav"), "--seconds", str(seconds), "-o", str(output),
    ]  # fmt: skip


def peak_of(folder: Path, seconds: int) -> float:
    """MiB of the whole command, its imports and weights among them.

    Raises:
        RuntimeError: the command failed.
    """
    output = folder / f"{seconds}.mp4"
    used = usage_of(generate_arguments(folder, seconds, output), ROOT, folder)
    return used.ru_maxrss / 2**10


def main() -> None:
    """Each length in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", nargs="*", type=int, default=SECONDS)
    wanted = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        peaks = [peak_of(Path(folder), seconds) for seconds in wanted]
    for seconds, peak in zip(wanted, peaks, strict=True):
        print(f"{seconds} s of video: {peak:.0f} MiB at the peak, {peak / peaks[0]:.3f} of the first")


if __name__ == "__main__":
    main()
