"""Does the joint of two segments show: sharpness by position in the stride, `python -m benchmarks.generation.joints [--model FOLDER]`.

Sharpness is the energy in the upper half of a picture's spatial spectrum, its root over the truth's (`evaluation.metrics.sharpness`). Without
`--model` there is no flow: the packaged autoencoder draws latents of rendered puppets to which each segment adds an error of its own, as
strong (0.8 standard deviations) as makes the plain dissolve pulse as it was seen with a trained model, 8 to 10 %. With one, its audio-driven videos are measured.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics.sharpness import high_frequency_energy
from evaluation.questions.long_video_drift import puppet_video
from omnihuman import OmniHumanPipeline, long_video
from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder, to_frames, to_pixels
from omnihuman.long_video import OVERLAP, LongVideo, generate_segments
from profiles import load_profile, resolve_source
from puppets import Puppet

SEED = 90_000_001
Joint = Callable[[Tensor, Tensor], Tensor]


def plain_dissolve(old: Tensor, new: Tensor) -> Tensor:
    """The mean in equal steps, as it was before."""
    shared = old.shape[2]
    weight = (torch.arange(1, shared + 1) / (shared + 1)).view(1, 1, -1, 1, 1)
    return torch.cat([old.float().lerp(new[:, :, :shared].float(), weight).to(new.dtype), new[:, :, shared:]], dim=2)


def hard_cut(old: Tensor, new: Tensor) -> Tensor:
    """The new one from its first frame on: no joint could be sharper."""
    return new


def without_joints(video: LongVideo, people: list[Puppet]) -> np.ndarray:
    """The truth through the autoencoder in one piece: how much sharpness changes with what is in the pictures."""
    vae = load_autoencoder(resolve_source(load_profile("laptop", []).encoders.autoencoder))
    truth = torch.from_numpy(np.stack([person.frames for person in people]))
    return to_frames(decode_video(vae, encode_video(vae, to_pixels(truth)).float()))[:, : video.frames].numpy()


JOINTS: dict[str, Joint] = {"plain dissolve": plain_dissolve, "as it is now": long_video.dissolve, "hard cut": hard_cut}


def drawn(video: LongVideo, people: list[Puppet], joint: Joint, error: float) -> np.ndarray:
    """`(B, T, H, W, 3)` uint8 of true latents, to which every segment adds `error` standard deviations of its own."""
    vae = load_autoencoder(resolve_source(load_profile("laptop", []).encoders.autoencoder))
    truth = torch.from_numpy(np.stack([person.frames for person in people]))
    parts, before = [], None
    for index in range(video.segments):
        start, stop = video.span(index)
        latents = encode_video(vae, to_pixels(truth[:, start : start + video.segment_frames])).float()
        latents += error * torch.randn(latents.shape, generator=torch.Generator().manual_seed(index))
        pixels = decode_video(vae, latents)
        pixels = pixels if before is None else joint(before, pixels)
        before = pixels[:, :, video.segment_frames - video.shared :].clone()
        parts.append(to_frames(pixels[:, :, : stop - start]))
    return torch.cat(parts, dim=1).numpy()


def made(video: LongVideo, model: Path, joint: Joint) -> np.ndarray:
    """The same by a model."""
    long_video.dissolve = joint
    pipeline = OmniHumanPipeline.from_pretrained(model)
    return torch.cat([segment.frames for segment in generate_segments(pipeline, video)], dim=1).cpu().numpy()


def by_position(frames: np.ndarray, video: LongVideo, people: list[Puppet]) -> np.ndarray:
    """`(stride,)`: sharpness over the truth's, of all segments but the first and the last."""
    stride = video.segment_frames - video.shared
    inner = slice(stride, (video.segments - 1) * stride)
    truth = np.stack([person.frames[: frames.shape[1]] for person in people])
    own, real = (np.stack([high_frequency_energy(clip[inner, None]) for clip in clips]) for clips in (frames, truth))
    ratio = np.sqrt(own / real).reshape(len(people), -1, stride)
    return ratio.mean(axis=(0, 1))


def main() -> None:
    """Print a table: each joint, how its frames differ from the rest of the stride, how far all go up and down, and every position."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.generation.joints", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a trained pipeline of puppets")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--segments", type=int, default=10)
    parser.add_argument(
        "--error", type=float, default=0.8, help="of a segment's latents, in standard deviations; without --model"
    )
    given = parser.parse_args()
    video, people = puppet_video(given.clips, given.segments, 17, SEED, None)
    for title, joint in JOINTS.items():
        frames = made(video, given.model, joint) if given.model else drawn(video, people, joint, given.error)
        _say(title, by_position(frames, video, people))
    if not given.model:
        _say("no joint at all", by_position(without_joints(video, people), video, people))


def _say(title: str, sharpness: np.ndarray) -> None:
    spread = (sharpness.max() - sharpness.min()) / sharpness.mean()
    joint = sharpness[:OVERLAP].mean() / sharpness[OVERLAP:].mean() - 1
    print(f"{title:<16}{joint:>+7.1%}{spread:>7.1%}  " + " ".join(f"{value:.3f}" for value in sharpness), flush=True)


if __name__ == "__main__":
    main()
