"""`python -m benchmarks.training.features_at_size [PROFILE]`: bytes of features at a profile's shapes, and the loader over thousands of them.

Files are the product's own, written with random content (bytes) or as sparse files (loader), so that neither weights nor clips are needed.
What an hour of clips takes is arithmetic from the sizes of those files: an hour of windows that follow one another.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import psutil
from safetensors.numpy import save_file

from assets.plan.answering import WAV2VEC
from curation.features.feature_writer import BucketWriter, TextWriter
from media.records import SnapshotRecord
from profiles import Profile, load_profile
from profiles.schema import Ratios
from training.data.loader import SnapshotData

CLIPS = 3
TOKENS = 160  # of a caption of about a hundred words; no corpus was counted
ALL_ON = Ratios(text=1.0, reference=1.0, audio=1.0, pose=1.0, motion=1.0)


def row_shapes(profile: Profile, states: int | None = None) -> dict[str, tuple[int, ...]]:
    """Shapes of one sample of the main bucket, with so many hidden states of sound; None is the profile's."""
    video, model, grid = profile.video, profile.transformer, (profile.video.height // 8, profile.video.width // 8)
    return {
        "latents": (16, video.latent_frames, *grid), "reference_latents": (16, 1, *grid), "motion_latents": (16, 2, *grid),
        "audio": (video.frames, states or model.audio_layers, model.audio_dim), "keypoints": (video.frames, 133, 3),
    }  # fmt: skip


def write_first(folder: Path, profile: Profile, windows: int) -> None:
    """`CLIPS` clips of so many windows in the layout of before: a row of everything for every window, text padded, all hidden states."""
    rng, samples = np.random.default_rng(0), CLIPS * windows
    states = WAV2VEC[profile.transformer.audio_dim]["num_hidden_layers"] + 1
    tensors = {name: rng.random((samples, *shape), np.float32) for name, shape in row_shapes(profile, states).items()}
    tensors = {name: rows if name == "keypoints" else rows.astype(np.float16) for name, rows in tensors.items()}
    text = np.zeros((samples, profile.encoders.text_tokens, profile.transformer.text_dim), np.float16)
    flags = {name: np.ones(samples, np.uint8) for name in ("has_motion", "has_audio")}
    # Without the empty prompt: a file has it once, and these files are far smaller than a shard's.
    save_file(
        tensors | flags | {"text": text},
        folder / f"features-{profile.video.name_of(profile.video.main)}.safetensors",
    )


def write_second(folder: Path, profile: Profile, windows: int, latents: str, tokens: int, silent: bool = False) -> None:
    """The same in the layout of today."""
    rng, samples, video = np.random.default_rng(0), CLIPS * windows, profile.video
    with TextWriter(folder, profile.encoders.text_tokens) as texts:
        for length in (1, *[tokens] * CLIPS):
            texts.add(rng.random((length, profile.transformer.text_dim), np.float32))
    writer = BucketWriter(folder, video.name_of(video.main), row_shapes(profile), [True] * samples, latents)
    for row in range(samples):
        one = {name: rng.random((1, *shape), np.float32) for name, shape in row_shapes(profile).items()}
        one |= {"has_audio": np.array([0 if silent else 1]), "text_row": np.array([1 + row // windows])}
        writer.put([row], one)
    writer.close()


def bytes_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def bytes_per_hour(profile: Profile, tokens: int) -> list[str]:
    """A table: gigabytes an hour before and after, for clips of one window and of as many as the profile takes."""
    video = profile.video
    per_hour = 3600 * video.fps / video.frames
    lines = [
        "| windows a clip | before, GB an hour | after, float16 | | after, int8 | | int8, no sound | |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for windows in (1, 2, video.windows_per_clip):
        sizes = []
        for write in (
            lambda folder, windows=windows: write_first(folder, profile, windows),
            lambda folder, windows=windows: write_second(folder, profile, windows, "float16", tokens),
            lambda folder, windows=windows: write_second(folder, profile, windows, "int8", tokens),
            lambda folder, windows=windows: write_second(folder, profile, windows, "int8", tokens, silent=True),
        ):
            with tempfile.TemporaryDirectory() as folder:
                write(Path(folder))
                sizes.append(bytes_of(Path(folder)) / (CLIPS * windows) * per_hour / 1e9)
        shares = [f"{size:.2f} | {size / sizes[0]:.2f}" for size in sizes[1:]]
        lines.append(f"| {windows} | {sizes[0]:.2f} | {' | '.join(shares)} |")
    return lines


def write_sparse_snapshot(root: Path, profile: Profile, samples: int) -> None:
    """`root/snapshot` and `root/features/s-0`: files of full size whose contents are holes, read as zeros."""
    folder, video = root / "features" / "s-0", profile.video
    folder.mkdir(parents=True)
    (root / "snapshot").mkdir()
    bucket = video.name_of(video.main)
    with patch("os.posix_fallocate", lambda handle, begin, size: os.ftruncate(handle, begin + size)):
        with TextWriter(folder, profile.encoders.text_tokens) as texts:
            for length in (1, *[TOKENS] * 64):
                texts.add(np.ones((length, profile.transformer.text_dim), np.float16))
        writer = BucketWriter(folder, bucket, row_shapes(profile), [True] * samples, profile.encoders.latents)
    for first in range(0, samples, 100):
        rows = range(first, min(samples, first + 100))
        numbers = np.array([1 + row % 64 for row in rows])
        writer.put(rows, {"text_row": numbers})
    for file in writer._files:
        file.arrays["audio_row"][:] = np.arange(len(file.arrays["audio_row"]))
    writer.close()
    ids = [f"c{row:06}" for row in range(samples)]
    table = pd.DataFrame({"sample_id": ids, "clip_id": ids, "shard": "s-0", "bucket": bucket, "row": range(samples)})
    table = table.assign(text=True, audio=True, pose=True, reference_outside=True, has_motion=True)
    table.to_parquet(root / "snapshot" / "samples.parquet")
    states = profile.encoders.audio_states
    made_with = {} if states is None else {"audio_states": list(states)}
    SnapshotRecord({"digest": "sparse", "encoders": made_with}).write(root / "snapshot")


def sparse_data(root: Path, profile: Profile, samples: int, batch: int) -> SnapshotData:
    """A loader over a new sparse snapshot in `root`, for micro-batches of one sample with all conditions."""
    write_sparse_snapshot(root, profile, samples)
    return _opened(root, profile, batch, profile.engine.prefetch)


def _opened(root: Path, profile: Profile, batch: int, depth: int) -> SnapshotData:
    one_rank = profile.engine.model_copy(update={"prefetch": depth, "gradient_accumulation": batch})
    given = profile.model_copy(update={"engine": one_rank})
    return SnapshotData(root / "snapshot", root / "features", given, "text", 0, batch, ALL_ON)


def load(profile: Profile, samples: int, batches: int, step_seconds: float) -> list[str]:
    """Memory of this process and the share of time spent waiting, while something else takes `step_seconds` a micro-batch of one."""
    process, lines = psutil.Process(), []
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        write_sparse_snapshot(root, profile, samples)
        stored = bytes_of(root / "features" / "s-0")
        lines.append(
            f"{samples} samples, {stored / 1e9:.1f} GB in {len(list((root / 'features' / 's-0').iterdir()))} files, a step of {step_seconds:g} s"
        )
        lines += ["| prefetch | micro-batches | waited, share of the time | MB resident after 10, half, all |", "| ---: | ---: | ---: | --- |"]  # fmt: skip
        for depth in (0, profile.engine.prefetch):
            data = _opened(root, profile, 8, depth)
            resident, began, done, started_waiting = [], time.perf_counter(), 0, 0.0
            for number in range(batches):
                for _ in data.rank_batch(number).split(8):
                    done += 1
                    time.sleep(step_seconds)
                    if done == 10:  # the first ones open files and threads
                        began, started_waiting = time.perf_counter(), data.ahead.waited
                    if done in (10, batches * 4, batches * 8):
                        resident.append(f"{process.memory_info().rss / 1e6:.0f}")
            took = time.perf_counter() - began
            share = (data.ahead.waited - started_waiting) / took
            lines.append(f"| {depth} | {done} | {share:.1%} | {', '.join(resident)} |")
    return lines


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("profile", nargs="?", default="wan2.1-1.3b")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of a caption")
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument(
        "--batches", type=int, default=12, help="of eight micro-batches of one sample; 0 leaves the loader out"
    )
    parser.add_argument("--step-seconds", type=float, default=1.0)
    given = parser.parse_args()
    profile = load_profile(given.profile, [])
    print("\n".join(bytes_per_hour(profile, given.tokens)))
    if given.batches:
        print("\n".join(["", *load(profile, given.samples, given.batches, given.step_seconds)]))


if __name__ == "__main__":
    main()
