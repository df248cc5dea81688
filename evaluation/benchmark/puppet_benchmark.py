"""The held-out benchmark: puppets of seeds that are never trained on, with everything that is true of them."""

import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from evaluation.benchmark.benchmark import Benchmark, BenchmarkError, BenchmarkSample
from evaluation.benchmark.benchmark_plan import OF_PUPPETS
from media import decode_clip, encode_clip, whole_directory, write_atomically
from profiles.judging import PUPPETS
from profiles.schema import EvaluationConfig, VideoConfig
from puppets import PuppetKeypoints, render
from puppets.render import FPS, SIZE
from puppets.speech import SAMPLE_RATE

# The reference is the clip's last frame, 8 frames after the window: the same person in another pose.
REFERENCE_DISTANCE = 8


@dataclass(frozen=True)
class PuppetBenchmark(Benchmark):
    """N held-out windows of T frames. What a model is given is decoded from the mp4s; what is true is as drawn.

    Attributes:
        names: N clip names.
        captions: N sentences.
        frames: `(N, T, H, W, 3)` uint8, the window.
        reference: `(N, H, W, 3)` uint8, a frame outside the window.
        audio: `(N, S)` float32 at `sample_rate`, the window's sound.
        keypoints: `(N, T, 133, 3)` float32, x and y in pixels and confidence, read from `frames`.
        opening: `(N, T)` float32 true mouth opening in [0, 1].
        joints: `(N, T, 4, 2)` float32 true joint centres in pixels.
        colours: `(N, 4, 3)` float32 true RGB in [0, 1] of hair, skin, shirt, wall.
        fps, sample_rate: of `frames` and `audio`.
        digest: sha256 of everything above, as 64 hex digits.
    """

    modes: ClassVar[tuple[str, ...]] = OF_PUPPETS
    names: tuple[str, ...]
    captions: tuple[str, ...]
    frames: Tensor
    reference: Tensor
    audio: Tensor
    keypoints: Tensor
    opening: Tensor
    joints: Tensor
    colours: Tensor
    fps: float
    sample_rate: int
    digest: str
    name: str = field(default=PUPPETS, init=False)

    def sample(self, clip: int) -> BenchmarkSample:
        """One sample, by number."""
        given = (self.frames[clip], self.reference[clip], self.audio[clip], self.keypoints[clip])
        return BenchmarkSample(self.names[clip], self.captions[clip], *given)

    def shape(self, clip: int) -> tuple[int, int, int]:
        """All have one."""
        length, height, width = self.frames.shape[1:4]
        return length, height, width

    def heard(self, clip: int) -> bool:
        """All speak."""
        return True

    def posed(self, clip: int) -> bool:
        """All are seen."""
        return True


TENSORS = tuple(field.name for field in fields(PuppetBenchmark) if field.type is Tensor)


def build_puppets(
    destination: Path, config: EvaluationConfig, video: VideoConfig, training_seeds: Iterable[range] = ()
) -> PuppetBenchmark:
    """Render `config.clips` clean puppets from seed `config.seed` on, and write them with their truth.

    Args:
        destination: folder to make or replace: `clips/<name>.mp4` and `.json`, `manifest.parquet`, `truth.safetensors`.
        config: clips and seed.
        video: the bucket; puppets exist at 64x64, 16 fps and 16 kHz only.
        training_seeds: every range of puppet seeds that any training data came from.

    Raises:
        BenchmarkError: a seed that was trained on, or a bucket that puppets do not fit.
    """
    check_benchmark(config, video, training_seeds)
    rows: list[dict[str, Any]] = []
    parts: dict[str, list[np.ndarray]] = {name: [] for name in TENSORS}
    length = video.frames + REFERENCE_DISTANCE
    with whole_directory(destination) as folder:
        for seed in range(config.seed, config.seed + config.clips):
            puppet = render(seed, "clean", length)
            name = f"p{seed}"
            data = encode_clip(puppet.frames, puppet.fps, puppet.audio)
            write_atomically(folder / "clips" / f"{name}.mp4", data)
            write_atomically(folder / "clips" / f"{name}.json", puppet.sidecar())
            clip = decode_clip(data, puppet.fps)
            if clip.audio is None:
                raise BenchmarkError(f"the encoded clip {name} lost its sound; FFmpeg's AAC encoder is missing")
            window = clip.frames[: video.frames]
            parts["frames"].append(window)
            parts["reference"].append(clip.frames[-1])
            parts["audio"].append(clip.audio[: round(video.frames / video.fps * video.sample_rate)])
            parts["keypoints"].append(PuppetKeypoints()(window))
            parts["opening"].append(puppet.opening[: video.frames].astype(np.float32))
            parts["joints"].append(puppet.joints[: video.frames].astype(np.float32))
            parts["colours"].append(puppet.colours.astype(np.float32))
            rows.append(
                {
                    "name": name,
                    "seed": seed,
                    "caption": puppet.caption,
                    "clip": f"clips/{name}.mp4",
                    "sha256": hashlib.sha256(data).hexdigest(),
                    "window_start": 0,
                    "window_frames": video.frames,
                    "reference_frame": length - 1,
                    "fps": video.fps,
                    "sample_rate": video.sample_rate,
                }
            )
        table = io.BytesIO()
        pd.DataFrame(rows).to_parquet(table, index=False)
        write_atomically(folder / "manifest.parquet", table.getvalue())
        tensors = {name: torch.from_numpy(np.stack(values)) for name, values in parts.items()}
        write_atomically(folder / "truth.safetensors", save(tensors))
    return load_puppets(destination)


def load_puppets(path: Path) -> PuppetBenchmark:
    """Read what `build_puppets` wrote.

    Raises:
        BenchmarkError: a missing file.
    """
    manifest_file, truth_file = path / "manifest.parquet", path / "truth.safetensors"
    for file in (manifest_file, truth_file):
        if not file.is_file():
            raise BenchmarkError(f"no {file}; make the benchmark with `python -m assets benchmark_sets`")
    manifest, tensors = pd.read_parquet(manifest_file), load_file(truth_file)
    digest = hashlib.sha256(manifest_file.read_bytes() + truth_file.read_bytes()).hexdigest()
    return PuppetBenchmark(
        names=tuple(manifest["name"]),
        captions=tuple(manifest["caption"]),
        **{name: tensors[name] for name in TENSORS},
        fps=float(manifest["fps"].iloc[0]),
        sample_rate=int(manifest["sample_rate"].iloc[0]),
        digest=digest,
    )


def check_benchmark(config: EvaluationConfig, video: VideoConfig, training_seeds: Iterable[range]) -> None:
    """Whether puppets can judge models of this video configuration, that were trained on these seeds.

    Raises:
        BenchmarkError: they cannot, and why.
    """
    held_out = range(config.seed, config.seed + config.clips)
    for trained in training_seeds:
        if len(trained) and trained[0] <= held_out[-1] and held_out[0] <= trained[-1]:
            raise BenchmarkError(
                f"benchmark seeds {held_out[0]}..{held_out[-1]} overlap training seeds {trained[0]}..{trained[-1]}; "
                "change evaluation.seed or demo.seed in the profile"
            )
    bucket = (video.height, video.width, video.fps, video.sample_rate)
    if bucket != (SIZE, SIZE, FPS, SAMPLE_RATE):
        raise BenchmarkError(
            f"puppets are {SIZE}x{SIZE} at {FPS:g} fps and {SAMPLE_RATE} Hz, the profile's video is {bucket}; "
            "use the laptop profile's video section for the puppet benchmark"
        )
    if video.reference_gap > REFERENCE_DISTANCE:
        raise BenchmarkError(
            f"video.reference_gap is {video.reference_gap}, the benchmark's reference lies {REFERENCE_DISTANCE} frames "
            "after the window; lower it"
        )
