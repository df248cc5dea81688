"""Whether a transformer has begun to hear: `python -m benchmarks.people.sound_gap NAME=FOLDER ... [--clips 32]`. A minute on one core.

Nothing is sampled and no network reads a face. Held-out people's own latents are noised, and the flow's error in the cells that show the mouth is
compared under their own sound, under another clip's and under none. Who uses what is said errs less under the own one, person by person; that shows long
before faces are good enough to be read. Intervals are of the difference, by bootstrap over people.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assets.core.markdown import markdown_table
from benchmarks.people.following import difference, people_of, sounds_of
from omnihuman.autoencoder import LatentGrid, encode_video, to_pixels
from omnihuman.pipeline import build_pipeline
from people import Person
from profiles import load_profile
from training.data.loader import LIPS
from training.flow_matching import interpolate, mouth_weights, velocity_target

TIMES = (0.5, 0.7, 0.9)
BATCH = 8


def mouth_error(velocity: Tensor, target: Tensor, mouths: Tensor) -> Tensor:
    """`(B,)` mean squared error of `(B, C, F, h, w)` velocities over the cells that `mouths` `(B, 1, F, h, w)` marks with 1; NaN where there are none."""
    squares = (velocity.float() - target).square() * mouths
    return squares.flatten(1).sum(dim=1) / (velocity.shape[1] * mouths.flatten(1).sum(dim=1))


@torch.no_grad()
def errors(pipeline: Any, people: list[Person], frames: int, time: float) -> dict[str, np.ndarray]:
    """`(N,)` errors at the mouth, by whose sound is heard: own, another's (the next one's) and none."""
    sounds, stride = sounds_of(people, frames), LatentGrid.of(pipeline.vae).stride
    heard: dict[str, Tensor | None] = {"own": sounds, "another's": sounds.roll(-1, 0), "none": None}
    noises = torch.Generator().manual_seed(0)
    found: dict[str, list[Tensor]] = {name: [] for name in heard}
    for start in range(0, len(people), BATCH):
        part = people[start : start + BATCH]
        clips = torch.from_numpy(np.stack([person.frames[:frames] for person in part]))
        latents = torch.cat([encode_video(pipeline.vae, to_pixels(clip[None])).float() for clip in clips])
        lips = torch.from_numpy(np.stack([person.keypoints[:frames, LIPS] for person in part])).float()
        mouths = (mouth_weights(lips, latents.shape[2:], stride, 2.0) > 1).float()
        noise = torch.randn(latents.shape, generator=noises)
        t = torch.full((len(part),), time)
        references = torch.from_numpy(np.stack([person.frames[-1] for person in part]))
        size = clips.shape[2:4]
        for name, sound in heard.items():
            audio = None if sound is None else sound[start : start + BATCH]
            captions = [person.caption for person in part]
            conditions = pipeline.encode_conditions(captions, references, audio, {}, frames, *size)
            noisy = interpolate(latents, noise, t).to(conditions.text.dtype)
            velocity = pipeline.transformer(noisy, 1000 * t, return_dict=False, **conditions)[0]
            found[name].append(mouth_error(velocity, velocity_target(latents, noise), mouths))
    return {name: torch.cat(values).numpy() for name, values in found.items()}


def main() -> None:
    """Print a row for each transformer and time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER", help="a transformer's folder")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--set", action="append", default=[], help="override a key of the profile people")
    args = parser.parse_args()
    torch.set_num_threads(1)
    profile = load_profile("people", args.set)
    frames, size = profile.video.frames, profile.video.height
    people = people_of(args.clips, frames, size)
    rows = []
    for name, folder in (model.split("=", 1) for model in args.models):
        pipeline = build_pipeline(profile, Path(folder), 20)
        for time in TIMES:
            found = errors(pipeline, people, frames, time)
            row = {"": name, "t": f"{time:g}", "error, own sound": f"{np.nanmean(found['own']):.4f}"}
            for other in ("another's", "none"):
                mean, low, high = difference(found[other], found["own"])
                row[f"more under {other}"] = f"{mean:+.4f} [{low:+.4f}, {high:+.4f}]"
            rows.append(row)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()
