"""`python -m benchmarks.evaluation.metrics`: what scoring costs beside the network's own forward, and whether memory stays flat."""

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.interleaved import Comparison
from evaluation.metrics import FrechetInceptionDistance, Network, frechet_distance_of_features
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.puppet_truth import PuppetTruth
from evaluation.networks.inception import InceptionFeatures, InceptionV3, load_inception, resized
from evaluation.panel import Instruments, Panel
from media import decode_clip, encode_clip
from puppets import PuppetKeypoints, measure_colours, render

FRAMES = 8
CLIPS = 1000  # short ones


class _PuppetDetector:
    network = Network("puppet-colours", "1", "whole frames")

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return PuppetKeypoints()(frames)


def fid_against_forward() -> Comparison:
    """CPU seconds of one clip of 8 frames on one thread: features of decoded frames into FID, and the bare forward of ready pixels."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inception.pth"
        torch.save(InceptionV3().state_dict(), path)
        extractor, model = InceptionFeatures(path), load_inception(path)
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, 256, 256, 3), np.uint8)
    pixels, clips = (resized(frames) - 128) / 128, iter(range(10**6))
    metric = FrechetInceptionDistance(extractor.network)

    def scored() -> None:
        features = extractor(frames)
        metric.update(str(next(clips)), features, features)

    def bare() -> None:
        with torch.inference_mode():
            model(pixels)

    torch.set_num_threads(1)
    return Comparison(*(min(_cpu_seconds(call) for _ in range(4)) for call in (scored, bare)))


def _cpu_seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def weightless(clips: int = CLIPS) -> tuple[float, int, int]:
    """Clips of 17 frames a second, decoding included, per second of one core; peak KiB after a tenth and after all of them."""
    puppet = render(1, "clean", 17)
    data = encode_clip(puppet.frames, puppet.fps, puppet.audio)
    truth = PuppetTruth(puppet.opening, puppet.joints, measure_colours(puppet.frames[-1:])[0])
    names = [f"c{i:04d}" for i in range(clips)]
    instruments = Instruments(keypoints=_PuppetDetector())
    panel = Panel(instruments, {"truth_frames", "puppet_truth"})
    began, early = time.process_time(), 0
    for i, name in enumerate(names):
        frames = decode_clip(data, puppet.fps).frames
        panel.update(Observed(name, puppet.fps, frames, instruments, real=puppet.frames, puppet_truth=truth))
        if i == clips // 10:
            early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate = clips / (time.process_time() - began)
    return rate, early, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def decomposition(samples: int = 2500, dimensions: int = 2048) -> float:
    """CPU seconds of one Fréchet distance, which is also those of one of its resamples."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(samples, dimensions)), rng.normal(size=(samples, dimensions))
    return _cpu_seconds(lambda: frechet_distance_of_features(first, second))


def main() -> None:
    """Print one line each."""
    rate, early, late = weightless()
    print(
        f"weightless metrics, {CLIPS} clips: {rate:.0f} clips per core second, peak memory {early / 1024:.0f} MiB after a tenth, {late / 1024:.0f} MiB at the end"
    )
    fid = fid_against_forward()
    print(
        f"FID of {FRAMES} frames / bare Inception forward: {fid.ratio:.3f}  ({fid.ours * 1e3:.0f} / {fid.theirs * 1e3:.0f} ms)"
    )
    print(f"one Fréchet distance of 2500 rows of 2048 features: {decomposition():.1f} s")


if __name__ == "__main__":
    main()
