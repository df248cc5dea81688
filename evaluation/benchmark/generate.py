"""Sample one model on the benchmark. Batches that are done survive a kill, and every model sees the same noise."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from evaluation.benchmark.benchmark_plan import MODES, PIXELS, POSE, SECOND_SEED, SECOND_SEED_BATCHES, SHUFFLED_AUDIO
from evaluation.benchmark.cost import Cost, CostMeter, cost_of
from evaluation.benchmark.puppet_benchmark import Benchmark
from media import encode_clip, whole_directory, write_atomically
from media.user_error import UserError
from omnihuman.autoencoder import decode_video, encode_video, to_frames, to_pixels
from profiles.schema import EvaluationConfig

PREVIEWS = 4
PREVIEW_SCALE = 4
SECOND_SEED_OFFSET = 1_000_003  # beyond any benchmark's size, so that no clip's second noise is another's first

Progress = Callable[[int, int, str], None]


class GenerationError(UserError):
    """A mode that does not exist, generated videos that do not fit, or none where some are needed."""


class VideoPipeline(Protocol):
    """What `omnihuman.OmniHumanPipeline` offers here; the result has `frames`, `(B, T, H, W, 3)` uint8.

    Its `transformer` and the `decode` of its `vae` are timed.
    """

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
) -> Path:
    """Generate the benchmark's clips under one mode and write `generated.safetensors`, `meta.json` and four mp4s.

    Args:
        pipeline: the model.
        benchmark: conditions.
        destination: `generated_videos/<model>/<mode>`, made or replaced.
        mode: one of `evaluation.benchmark.benchmark_plan.MODES`.
        steps: sampling steps; None leaves steps and guidance to the pipeline's own defaults.
        config: batch size, guidance scale, seed.
        progress: called with (clips done, clips, note).
        weights: digest of the pipeline's weights. Unfinished batches of other weights are never used.

    Raises:
        GenerationError: an unknown mode, a benchmark too small to shuffle, or output of the wrong shape.
    """
    if mode not in MODES:
        raise GenerationError(f"unknown mode {mode!r}; choose one of {', '.join(MODES)}")
    if mode == SHUFFLED_AUDIO and len(benchmark) < 2:
        raise GenerationError("shuffling audio needs at least two clips; raise evaluation.clips")
    clips = min(len(benchmark), SECOND_SEED_BATCHES * config.batch_size) if mode == SECOND_SEED else len(benchmark)
    settings = {
        "model": destination.parent.name,
        "mode": mode,
        "steps": steps,
        "guidance_scale": None if steps is None else config.guidance_scale,
        "batch_size": config.batch_size,
        "seed": config.seed,
        "clips": clips,
        "weights": weights,
        "benchmark": benchmark.digest,
    }
    key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    work = destination.parent / f".batches-{mode}-{key}"
    _forget_other_work(destination.parent, mode, work)
    frames, costs = [], []
    for start in range(0, clips, config.batch_size):
        batch = torch.arange(start, min(start + config.batch_size, clips))
        file = work / f"batch-{start:06d}.safetensors"
        if not file.is_file():
            made, cost = _generate_batch(pipeline, benchmark, batch, settings)
            write_atomically(file, save({"frames": made}, metadata={"cost": json.dumps(cost.as_dict())}))
        with safe_open(file, "pt") as stored:
            frames.append(stored.get_tensor("frames"))
            costs.append(Cost(**json.loads(stored.metadata()["cost"])))
        if progress is not None:
            progress(int(batch[-1]) + 1, clips, f"{settings['model']} {mode}")
    length = benchmark.frames.shape[1] / benchmark.fps
    measured = {
        "seconds_per_clip": sum(one.seconds for one in costs) / clips,
        "cost": cost_of(costs, [len(part) * length for part in frames]),
    }
    _publish(torch.cat(frames), benchmark, destination, settings | measured)
    shutil.rmtree(work)
    return destination


def reconstruct(
    autoencoder: Any, benchmark: Benchmark, destination: Path, batch_size: int = 16, progress: Progress | None = None
) -> Path:
    """Encode and decode the clips themselves: the ceiling of anything made in this autoencoder's latents.

    Args:
        autoencoder: from `omnihuman.autoencoder.load_autoencoder`.
        benchmark: the clips.
        destination: `generated_videos/reconstruction/pixels`, made or replaced.
        batch_size: clips at a time.
        progress: called with (clips done, clips, note).
    """
    frames, began = [], time.perf_counter()
    for batch in benchmark.frames.split(batch_size):
        frames.append(to_frames(decode_video(autoencoder, encode_video(autoencoder, to_pixels(batch)))))
        if progress is not None:
            progress(sum(map(len, frames)), len(benchmark), "reconstruction")
    seconds = (time.perf_counter() - began) / len(benchmark)
    settings = {
        "model": destination.parent.name,
        "mode": PIXELS,
        "clips": len(benchmark),
        "benchmark": benchmark.digest,
    }
    _publish(torch.cat(frames), benchmark, destination, settings | {"seconds_per_clip": seconds})
    return destination


def load_generated(folder: Path, benchmark: Benchmark) -> tuple[np.ndarray, dict[str, Any]]:
    """Frames `(N, T, H, W, 3)` uint8 and the record of one model and mode.

    Raises:
        GenerationError: nothing there, or it was made on another benchmark.
    """
    frames_file, meta_file = folder / "generated.safetensors", folder / "meta.json"
    if not (frames_file.is_file() and meta_file.is_file()):
        raise GenerationError(f"no generated videos in {folder}; make them with `python -m assets generated_videos`")
    meta = json.loads(meta_file.read_text())
    if meta["benchmark"] != benchmark.digest:
        raise GenerationError(f"{folder} was made on another benchmark; run `python -m assets generated_videos` again")
    with safe_open(frames_file, "np") as stored:
        return stored.get_tensor("frames"), meta


def shuffled(clips: Tensor, total: int) -> Tensor:
    """`(B,)` indices of the clips whose sound is given instead: the next one, so nobody keeps their own."""
    return (clips + 1) % total


def _generate_batch(
    pipeline: VideoPipeline, benchmark: Benchmark, batch: Tensor, settings: dict[str, Any]
) -> tuple[Tensor, Cost]:
    mode = settings["mode"]
    audio = shuffled(batch, len(benchmark)) if mode == SHUFFLED_AUDIO else batch
    # A clip's noise depends on the clip and on nothing of the model, so that models differ by their weights only.
    first = settings["seed"] + (SECOND_SEED_OFFSET if mode == SECOND_SEED else 0)
    with torch.no_grad(), CostMeter(pipeline) as meter:
        output = pipeline(
            prompt=[benchmark.captions[i] for i in batch],
            image=benchmark.reference[batch],
            audio=benchmark.audio[audio],
            pose=benchmark.keypoints[batch] if mode == POSE else None,
            num_frames=benchmark.frames.shape[1],
            num_inference_steps=settings["steps"],
            guidance_scale=settings["guidance_scale"],
            generator=[torch.Generator().manual_seed(first + int(clip)) for clip in batch],
        )
    frames = torch.as_tensor(output.frames).cpu()
    expected = (len(batch), *benchmark.frames.shape[1:])
    if frames.shape != expected or frames.dtype != torch.uint8:
        raise GenerationError(
            f"the pipeline gave {tuple(frames.shape)} {frames.dtype}, expected {expected} torch.uint8"
        )
    return frames.contiguous(), meter.cost


def _forget_other_work(parent: Path, mode: str, keep: Path) -> None:
    for stale in parent.glob(f".batches-{mode}-*"):
        if stale != keep:
            shutil.rmtree(stale)


def _publish(frames: Tensor, benchmark: Benchmark, destination: Path, meta: dict[str, Any]) -> None:
    given_mode = meta["mode"]
    with whole_directory(destination) as folder:
        write_atomically(folder / "generated.safetensors", save({"frames": frames.contiguous()}))
        write_atomically(folder / "meta.json", json.dumps(meta, indent=2, sort_keys=True).encode())
        for clip in range(min(PREVIEWS, len(frames))):
            heard = int(shuffled(torch.tensor(clip), len(benchmark))) if given_mode == SHUFFLED_AUDIO else clip
            data = encode_clip(
                enlarge(frames[clip].numpy(), PREVIEW_SCALE),
                benchmark.fps,
                benchmark.audio[heard].numpy(),
                benchmark.sample_rate,
                pixel_format="yuv420p",
            )
            write_atomically(folder / f"{benchmark.names[clip]}.mp4", data)


def enlarge(frames: np.ndarray, scale: int) -> np.ndarray:
    """`(..., H, W, 3)` to `(..., scale*H, scale*W, 3)` by repeating pixels, so that nothing looks better than it is."""
    return frames.repeat(scale, axis=-3).repeat(scale, axis=-2)
