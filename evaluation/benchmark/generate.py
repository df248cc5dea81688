"""Sample one model on the benchmark. Batches that are done survive a kill, and every model sees the same noise."""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor

from evaluation.benchmark.benchmark import Benchmark, BenchmarkSample
from evaluation.benchmark.benchmark_plan import (
    MODES,
    PIXELS,
    POSED,
    SECOND_SEED,
    SECOND_SEED_BATCHES,
    SHUFFLED_AUDIO,
    SHUFFLED_POSE,
)
from evaluation.benchmark.cost import Cost, CostMeter, cost_of
from evaluation.benchmark.generated import COST, Generated, GenerationError, open_generated
from evaluation.benchmark.given import heard_in, posed_in, stacked
from media import encode_clip, whole_directory, write_atomically
from media.encode import encode_lossless
from omnihuman.autoencoder import decode_video, encode_video, to_frames, to_pixels
from omnihuman.sampling import sampling_of
from profiles.schema import EvaluationConfig

PREVIEWS = 4
PREVIEW_HEIGHT = 256  # smaller pictures are enlarged to about this
SECOND_SEED_OFFSET = 1_000_003  # beyond any benchmark's size, so that no clip's second noise is another's first

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Share:
    """Which of the batches a process makes where several share them: each `of`-th, from number `index` on."""

    index: int = 0
    of: int = 1


ALONE = Share()


@dataclass(frozen=True)
class Work:
    """Batches that are made or to be made: their folder, which clips are in them, and what they are made by."""

    folder: Path
    clips: tuple[int, ...]
    settings: dict[str, Any]


class VideoPipeline(Protocol):
    """What `omnihuman.OmniHumanPipeline` offers here; the result has `frames`, `(B, T, H, W, 3)` uint8.

    Its `transformer` and the `decode` of its `vae` are timed, and its `scheduler` says how it samples.
    """

    scheduler: Any
    transformer: Any
    vae: Any

    def __call__(self, *args: Any, **inputs: Any) -> Any: ...


def generate_videos(
    pipeline: VideoPipeline,
    benchmark: Benchmark,
    destination: Path,
    mode: str,
    steps: int | None,
    config: EvaluationConfig,
    progress: Progress | None = None,
    *,
    weights: str,
    dtype: str = "float32",
) -> Path:
    """Generate the clips that `mode` can be asked of; write `videos-*.safetensors`, `meta.json` and four mp4s. Batches that stand, made by a
    run that was killed or by processes that share them, are not made again.

    Args:
        pipeline: the model.
        benchmark: conditions.
        destination: `generated_videos/<benchmark>/<model>/<mode>`, made or replaced.
        mode: one of `evaluation.benchmark.benchmark_plan.MODES`.
        steps: sampling steps; None leaves steps and guidance to the pipeline's own defaults.
        config: batch size, guidance scale, seed.
        progress: called with (clips done, clips, note).
        weights: digest of the pipeline's weights. Unfinished batches of other weights are never used.
        dtype: that it computes in, for the record (`omnihuman.placement.numbers_name`); nor are those of another.

    Raises:
        GenerationError: an unknown mode, a benchmark of which it cannot be asked, or output of the wrong shape.
    """
    work = make_batches(pipeline, benchmark, destination, mode, steps, config, progress, weights=weights, dtype=dtype)
    costs = [Cost(**json.loads(part[COST])) for part in Generated(work.folder, benchmark, {}).parts()]
    seconds = [
        sum(benchmark.shape(clip)[0] for clip in batch) / benchmark.fps
        for batch in batches_alike(benchmark, work.clips, config.batch_size)
    ]
    measured = {
        "seconds_per_clip": sum(one.seconds for one in costs) / len(work.clips),
        "cost": cost_of(costs, seconds),
    }
    _publish(work.folder, benchmark, work.clips, destination, work.settings | measured)
    return destination


def make_batches(
    pipeline: VideoPipeline,
    benchmark: Benchmark,
    destination: Path,
    mode: str,
    steps: int | None,
    config: EvaluationConfig,
    progress: Progress | None = None,
    *,
    weights: str,
    dtype: str = "float32",
    share: Share = ALONE,
) -> Work:
    """Make a share of the batches of `generate_videos`, whose arguments and errors it has, beside `destination`. A clip's batch and noise
    are the same however many processes share them."""
    if mode not in MODES:
        raise GenerationError(f"unknown mode {mode!r}; choose one of {', '.join(MODES)}")
    clips = asked_clips(benchmark, mode, config)
    if not clips:
        needs = (
            "two clips with sound"
            if mode == SHUFFLED_AUDIO
            else "two clips of one shape with keypoints"
            if mode == SHUFFLED_POSE
            else "a clip with keypoints"
            if mode in POSED
            else "a clip with sound"
        )
        raise GenerationError(
            f"mode {mode} needs at least {needs}, and benchmark {benchmark.name} has none; raise evaluation.clips, or build it anew"
        )
    settings = {
        "model": destination.parent.name,
        "mode": mode,
        "steps": steps,
        "guidance_scale": None if steps is None else config.guidance_scale,
        "sampling": sampling_of(pipeline.scheduler).model_dump(),
        "batch_size": config.batch_size,
        "seed": config.seed,
        "clips": len(clips),
        "weights": weights,
        "benchmark": benchmark.digest,
        "dtype": dtype,
    }
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    work = destination.parent / f".batches-{mode}-{key}"
    if share.index == 0:
        _forget_other_work(destination.parent, mode, work)
    batches = [(work / f"videos-{b[0]:06d}.safetensors", b) for b in batches_alike(benchmark, clips, config.batch_size)]
    for number, (file, batch) in enumerate(batches):
        if number % share.of != share.index:
            continue
        if not file.is_file():
            samples = [benchmark.sample(clip) for clip in batch]
            heard = [
                heard_in(benchmark, clips, clip, sample, mode) for clip, sample in zip(batch, samples, strict=True)
            ]
            posed = [
                posed_in(benchmark, clips, clip, sample, mode) for clip, sample in zip(batch, samples, strict=True)
            ]
            made, cost = _generate_batch(pipeline, batch, samples, heard, posed, settings)
            _keep(file, samples, made, benchmark.fps, {COST: json.dumps(cost.as_dict())})
        if progress is not None:
            done = sum(len(b) for other, (there, b) in enumerate(batches) if there.is_file())
            progress(done, len(clips), f"{settings['model']} {mode}")
    return Work(work, clips, settings)


def asked_clips(benchmark: Benchmark, mode: str, config: EvaluationConfig) -> tuple[int, ...]:
    """Numbers of the samples that a mode is generated for; of the second seed the first few only."""
    clips = benchmark.driven_by(mode)
    return clips[: SECOND_SEED_BATCHES * config.batch_size] if mode == SECOND_SEED else clips


def reconstruct(
    autoencoder: Any, benchmark: Benchmark, destination: Path, batch_size: int = 16, progress: Progress | None = None
) -> Path:
    """Encode and decode the clips themselves: the ceiling of anything made in this autoencoder's latents.

    Args:
        autoencoder: from `omnihuman.autoencoder.load_autoencoder`.
        benchmark: the clips.
        destination: `generated_videos/<benchmark>/reconstruction/pixels`, made or replaced.
        batch_size: clips at a time.
        progress: called with (clips done, clips, note).
    """
    clips, began, done = tuple(range(len(benchmark))), time.perf_counter(), 0
    work = destination.parent / f".batches-{PIXELS}-{benchmark.digest[:16]}"
    shutil.rmtree(work, ignore_errors=True)
    for batch in batches_alike(benchmark, clips, batch_size):
        samples = [benchmark.sample(clip) for clip in batch]
        pixels = to_pixels(torch.stack([sample.frames for sample in samples]))
        made = to_frames(decode_video(autoencoder, encode_video(autoencoder, pixels)))
        _keep(work / f"videos-{batch[0]:06d}.safetensors", samples, made, benchmark.fps, {})
        done += len(batch)
        if progress is not None:
            progress(done, len(clips), "reconstruction")
    settings = {
        "model": destination.parent.name,
        "mode": PIXELS,
        "clips": len(benchmark),
        "benchmark": benchmark.digest,
        "seconds_per_clip": (time.perf_counter() - began) / len(benchmark),
    }
    _publish(work, benchmark, clips, destination, settings)
    return destination


def load_generated(folder: Path, benchmark: Benchmark) -> tuple[np.ndarray, dict[str, Any]]:
    """All frames `(N, T, H, W, 3)` uint8 and the record of one model and mode, of clips of one shape.

    Raises:
        GenerationError: nothing there, or it was made on another benchmark.
    """
    generated = open_generated(folder, benchmark)
    return np.stack([generated.frames(name) for name in generated.names]), generated.meta


def batches_alike(benchmark: Benchmark, clips: Sequence[int], size: int) -> Iterator[tuple[int, ...]]:
    """Clips of one shape and with the same conditions, in their order, at most `size` at a time."""
    for _, alike in groupby(clips, lambda clip: (benchmark.shape(clip), benchmark.heard(clip), benchmark.posed(clip))):
        members = tuple(alike)
        yield from (members[start : start + size] for start in range(0, len(members), size))


def _generate_batch(
    pipeline: VideoPipeline,
    batch: Sequence[int],
    samples: Sequence[BenchmarkSample],
    heard: Sequence[Tensor | None],
    posed: Sequence[Tensor | None],
    settings: dict[str, Any],
) -> tuple[Tensor, Cost]:
    mode = settings["mode"]
    length, height, width = samples[0].frames.shape[:3]
    # A clip's noise depends on the clip and on nothing of the model, so that models differ by their weights only.
    first = settings["seed"] + (SECOND_SEED_OFFSET if mode == SECOND_SEED else 0)
    with torch.no_grad(), CostMeter(pipeline) as meter:
        output = pipeline(
            prompt=[sample.caption for sample in samples],
            image=torch.stack([sample.reference for sample in samples]),
            audio=stacked(heard),
            pose=stacked(posed),
            num_frames=length,
            num_inference_steps=settings["steps"],
            guidance_scale=settings["guidance_scale"],
            generator=[torch.Generator().manual_seed(first + clip) for clip in batch],
        )
    frames = torch.as_tensor(output.frames).cpu()
    expected = (len(batch), length, height, width, 3)
    if frames.shape != expected or frames.dtype != torch.uint8:
        raise GenerationError(
            f"the pipeline gave {tuple(frames.shape)} {frames.dtype}, expected {expected} torch.uint8"
        )
    return frames, meter.cost


def _keep(file: Path, samples: Sequence[BenchmarkSample], frames: Tensor, fps: float, metadata: dict[str, str]) -> None:
    videos = {
        sample.name: np.frombuffer(encode_lossless(made, fps), np.uint8)
        for sample, made in zip(samples, frames.numpy(), strict=True)
    }
    write_atomically(file, save(videos, metadata=metadata))


def _forget_other_work(parent: Path, mode: str, keep: Path) -> None:
    for stale in parent.glob(f".batches-{mode}-*"):
        if stale != keep:
            shutil.rmtree(stale)


def _publish(work: Path, benchmark: Benchmark, clips: Sequence[int], destination: Path, meta: dict[str, Any]) -> None:
    made = Generated(work, benchmark, meta)
    with whole_directory(destination) as folder:
        for file in made.files:
            os.link(file, folder / file.name)  # not moved: until the folder stands whole, a kill must not cost a batch
        write_atomically(folder / "meta.json", json.dumps(meta, indent=2, sort_keys=True).encode())
        for clip in clips[:PREVIEWS]:
            name = benchmark.names[clip]
            sound = heard_in(benchmark, clips, clip, benchmark.sample(clip), meta["mode"])
            frames = made.frames(name)
            scale = max(1, PREVIEW_HEIGHT // frames.shape[1])
            data = encode_clip(
                enlarge(frames, scale),
                benchmark.fps,
                None if sound is None else sound.numpy(),
                benchmark.sample_rate,
                pixel_format="yuv420p",
            )
            write_atomically(folder / f"{name}.mp4", data)
    shutil.rmtree(work)


def enlarge(frames: np.ndarray, scale: int) -> np.ndarray:
    """`(..., H, W, 3)` to `(..., scale*H, scale*W, 3)` by repeating pixels, so that nothing looks better than it is."""
    return frames.repeat(scale, axis=-3).repeat(scale, axis=-2)
