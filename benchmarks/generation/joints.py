"""Does the joint of two segments show: sharpness by position in the stride, `python -m benchmarks.generation.joints [--model FOLDER]`.

Sharpness is the energy in the upper half of a picture's spatial spectrum, its root over the truth's (`evaluation.metrics.sharpness`). Without
`--model` there is no flow: the packaged autoencoder draws latents of rendered puppets to which each segment adds an error of its own, by default as
strong (0.8 standard deviations) as makes the plain dissolve pulse as it was seen with a trained model, 8 to 10 %. With one, its audio-driven
videos are measured. All joints join the same windows; each clip is another person and another seed.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics.sharpness import high_frequency_energy
from evaluation.questions.long_video_drift import puppet_video
from omnihuman import OmniHumanPipeline
from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder, to_frames, to_pixels
from omnihuman.joint import dissolve, mix
from omnihuman.long_video import OVERLAP, LongVideo, generate_segments
from profiles import load_profile, resolve_source
from puppets import Puppet

SEED = 90_000_001
AT_ONCE = 8  # clips in memory
HALVINGS = 200  # of the clips, for a spread
Joint = Callable[[Tensor, Tensor], Tensor]


def plain_dissolve(old: Tensor, new: Tensor) -> Tensor:
    """The mean in equal steps: the first joint there was."""
    shared = old.shape[2]
    weight = (torch.arange(1, shared + 1) / (shared + 1)).view(1, 1, -1, 1, 1)
    return torch.cat([old.float().lerp(new[:, :, :shared].float(), weight).to(new.dtype), new[:, :, shared:]], dim=2)


def hard_cut(old: Tensor, new: Tensor) -> Tensor:
    """The new one from its first frame on: no joint could be sharper."""
    return new


ALONE = "a window alone"
JOINTS: dict[str, Joint] = {
    "plain dissolve": plain_dissolve,
    "not levelled": mix,
    "as it is now": dissolve,
    "hard cut": hard_cut,
}


def drawn(video: LongVideo, people: Sequence[Puppet], error: float) -> Iterator[Tensor]:
    """Windows `(B, 3, T, H, W)` in [-1, 1] of true latents, to which each adds `error` standard deviations of its own."""
    vae = load_autoencoder(resolve_source(load_profile("laptop", []).encoders.autoencoder))
    truth = torch.from_numpy(np.stack([person.frames for person in people]))
    for index in range(video.segments):
        start, _ = video.span(index)
        latents = encode_video(vae, to_pixels(truth[:, start : start + video.segment_frames])).float()
        generator = torch.Generator().manual_seed(video.seeds[0] + index)
        yield decode_video(vae, latents + error * torch.randn(latents.shape, generator=generator))


def made(video: LongVideo, pipeline: OmniHumanPipeline) -> Iterator[Tensor]:
    """The same by a model."""
    for segment in generate_segments(pipeline, video):
        yield decode_video(pipeline.vae, segment.latents)


def joined(windows: Sequence[Tensor], video: LongVideo, joint: Joint) -> np.ndarray:
    """`(B, T, H, W, 3)` uint8 of the whole video."""
    parts, before = [], None
    for index, window in enumerate(windows):
        start, stop = video.span(index)
        pixels = window if before is None else joint(before, window)
        before = pixels[:, :, video.segment_frames - video.shared :]
        parts.append(to_frames(pixels[:, :, : stop - start]))
    return torch.cat(parts, dim=1).numpy()


def _sharpness(clips: np.ndarray) -> np.ndarray:
    """`(B, T)` of `(B, T, H, W, 3)`."""
    return np.sqrt(np.stack([high_frequency_energy(clip[:, None]) for clip in clips]))


@dataclass(frozen=True)
class Positions:
    """What B clips have at each position of the stride, means over all segments but the first and the last.

    Attributes:
        sharpness: `(B, stride)`, over the truth's.
        change: `(B, stride)`, of the same pictures over those of a window that no joint touched, less 1: of the mixed frames the old segment's
            last, of the others the new one's own. What is in the pictures, and what the decoder makes of it, is in both.
        steps: `(B, stride)`, mean |change of the logarithm| from each position to the next: a joint that keeps every mean and jumps in each
            video shows here, in the step from the last mixed frame.
    """

    sharpness: np.ndarray
    change: np.ndarray
    steps: np.ndarray


def by_position(video: LongVideo, people: Sequence[Puppet], windows: Sequence[Tensor]) -> dict[str, Positions]:
    """Each joint, and windows alone."""
    stride = video.segment_frames - video.shared
    inner = slice(stride, (video.segments - 1) * stride)
    shape = (len(people), video.segments - 2, stride)
    truth = _sharpness(np.stack([person.frames[: video.frames] for person in people]))[:, inner].reshape(shape)
    single = [_sharpness(to_frames(window).numpy()) for window in windows]
    alone = np.stack(
        [
            np.concatenate([old[:, stride:], new[:, video.shared : stride]], axis=1)
            for old, new in pairwise(single[: video.segments - 1])
        ],
        axis=1,
    )
    found = {ALONE: _positions(alone / truth, alone / alone)}
    for name, joint in JOINTS.items():
        own = _sharpness(joined(windows, video, joint))[:, inner].reshape(shape)
        found[name] = _positions(own / truth, own / alone)
    return found


def _positions(sharpness: np.ndarray, change: np.ndarray) -> Positions:
    """Means over segments of `(B, segments, stride)`."""
    count, segments, stride = sharpness.shape
    steps = np.abs(np.diff(np.log(sharpness).reshape(count, -1), append=np.nan)).reshape(count, segments, stride)
    return Positions(sharpness.mean(axis=1), change.mean(axis=1) - 1, np.nanmean(steps, axis=1))


def spread(clips: np.ndarray) -> tuple[float, float]:
    """How much sharper the sharpest position is than the softest, over the mean; and half its 95 % interval over clips (jackknife).

    Of positions that differ by chance alone one is always the highest: so highest and lowest are chosen by one half of the clips and measured on
    the other, for many halvings.

    Args:
        clips: `(B, positions)`.
    """
    relative = clips / clips.mean(axis=1, keepdims=True)
    count = len(clips)
    without = np.array([_halved(np.delete(relative, clip, axis=0)) for clip in range(count)])
    deviation = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    return _halved(relative), float(1.96 * deviation)


def _halved(relative: np.ndarray) -> float:
    generator = np.random.default_rng(0)
    found = 0.0
    for _ in range(HALVINGS):
        order = generator.permutation(len(relative))
        choosing = relative[order[: len(order) // 2]].mean(axis=0)
        measured = relative[order[len(order) // 2 :]].mean(axis=0)
        found += measured[choosing.argmax()] - measured[choosing.argmin()]
    return float(found / HALVINGS)


def main() -> None:
    """Print a table: each joint, how its mixed frames differ from those of a window alone, how far all go up and down, and every position."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation.joints", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a trained pipeline of puppets")
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--segments", type=int, default=7)
    parser.add_argument(
        "--error", type=float, default=0.8, help="of a segment's latents, in standard deviations; without --model"
    )
    given = parser.parse_args()
    pipeline = OmniHumanPipeline.from_pretrained(given.model) if given.model else None
    found: dict[str, list[Positions]] = {}
    for first in range(0, given.clips, AT_ONCE):
        video, people = puppet_video(min(AT_ONCE, given.clips - first), given.segments, 17, SEED + first, None)
        windows = list(drawn(video, people, given.error) if pipeline is None else made(video, pipeline))
        for name, positions in by_position(video, people, windows).items():
            found.setdefault(name, []).append(positions)
    for name, parts in found.items():
        _say(name, Positions(*(np.concatenate(field) for field in zip(*map(astuple, parts), strict=True))))


def _say(title: str, positions: Positions) -> None:
    mean, changed = positions.sharpness.mean(axis=0), positions.change[:, :OVERLAP].mean(axis=0)
    most = int(np.abs(changed).argmax())
    deviation = positions.change[:, most].std(ddof=1) / np.sqrt(len(positions.change))
    value, half = spread(positions.sharpness)
    steps = positions.steps.mean(axis=0)
    print(
        f"{title:<16} mixed {changed.mean():>+6.1%}, most {changed[most]:>+6.1%} ± {1.96 * deviation:.1%} at {most}; positions differ by {value:>5.1%} ± {half:.1%} "
        f"(highest less lowest {np.ptp(mean) / mean.mean():.1%}); step out of the joint {steps[OVERLAP - 1]:.1%}, a latent later {steps[OVERLAP + 3]:.1%}  "
        + " ".join(f"{position:.3f}" for position in mean),
        flush=True,
    )


if __name__ == "__main__":
    main()
