"""Whether a mouth follows what is heard: `python -m benchmarks.people.following NAME=FOLDER ... [--clips 32]`. Minutes on one core.

Each transformer makes held-out people twice from the same noise, reference and words: by their own sound and by another clip's. The opening that MediaPipe
reads is held against the real clip's and against the truth; a mouth that follows its sound does better by its own, person by person. The interval is of
that difference, by bootstrap over people.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from assets.core.markdown import markdown_table
from benchmarks.people.reconstruction import reconstructed
from curation.people.wholebody.holistic import MediaPipeHolistic
from evaluation.metrics.people.face_reading import FaceReading
from media import write_atomically
from media.speech.mouth_and_sound import correlation
from omnihuman.pipeline import OmniHumanPipeline, build_pipeline
from people import Person, render
from profiles import load_profile

SEED = 94_000_000  # of held-out people; neither a demo's, a recipe's nor another benchmark's
RESAMPLES, BATCH = 2000, 8
SHOWN = (0, 4, 8, 12, 16)
OF_TWO = ("r, another's", "difference, real clip", "difference, truth")


@dataclass(frozen=True)
class Real:
    """Held-out people with what MediaPipe reads of their mouths, `(T,)` each."""

    people: list[Person]
    frames: int
    openings: list[np.ndarray]


def people_of(clips: int, frames: int, size: int, framing: str | None = None) -> list[Person]:
    """Held-out people of voices and sentences of no training; the reference lies behind the window of `frames`."""
    return [
        render(seed, frames=frames + 8, size=size, split="held_out", framing=framing)
        for seed in range(SEED, SEED + clips)
    ]


def sounds_of(people: list[Person], frames: int) -> torch.Tensor:
    """`(N, S)` of the window."""
    length = round(frames / people[0].fps * 16_000)
    return torch.from_numpy(np.stack([np.asarray(person.audio, np.float32)[:length] for person in people]))


def held_out(clips: int, frames: int, size: int, framing: str | None, detector: MediaPipeHolistic) -> Real:
    """`people_of`, looked at."""
    people = people_of(clips, frames, size, framing)
    return Real(people, frames, openings(np.stack([person.frames[:frames] for person in people]), detector)[0])


def openings(videos: np.ndarray, detector: MediaPipeHolistic) -> tuple[list[np.ndarray], float]:
    """`(T,)` of each of `(N, T, H, W, 3)` uint8, and the share of frames in which a face is found."""
    read = [FaceReading.of(detector(video), *video.shape[1:3]) for video in videos]
    return [one.opening for one in read], float(np.mean([one.found.mean() for one in read]))


def made(pipeline: OmniHumanPipeline, real: Real, moved: int, guidance: float) -> np.ndarray:
    """`(N, T, H, W, 3)` uint8 by the sounds of those `moved` places further; noise by the person's own number."""
    sounds, out = sounds_of(real.people, real.frames).roll(-moved, 0), []
    scale = {} if guidance == 1 else {"guidance_scale": guidance}
    for start in range(0, len(real.people), BATCH):
        part = real.people[start : start + BATCH]
        images = torch.from_numpy(np.stack([person.frames[-1] for person in part]))
        noise = [torch.Generator().manual_seed(start + place) for place in range(len(part))]
        captions, heard = [person.caption for person in part], sounds[start : start + BATCH]
        video = pipeline(captions, image=images, audio=heard, num_frames=real.frames, generator=noise, **scale)
        out.append(video.frames.numpy())
    return np.concatenate(out)


def correlations(read: list[np.ndarray], real: Real) -> np.ndarray:
    """`(N, 2)` r with what is read of the real clip, and with the truth."""
    pairs = zip(read, real.openings, real.people, strict=True)
    return np.array(
        [(correlation(own, seen), correlation(own, person.opening[: real.frames])) for own, seen, person in pairs]
    )


def difference(own: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Mean of `(N,)` own minus other over those that both have, and its 95 % bootstrap interval over clips."""
    values = (own - other)[np.isfinite(own - other)]
    drawn = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(values.mean()), float(low), float(high)


def _told(found: tuple[float, float, float]) -> str:
    return f"{found[0]:+.3f} [{found[1]:+.3f}, {found[2]:+.3f}]"


def main() -> None:
    """Print a row for each transformer, below the reconstruction's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER", help="a transformer's folder")
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=1.0, help="on text and audio")
    parser.add_argument("--framing", help="close or portrait; both, as a demo draws them, where not given")
    parser.add_argument("--set", action="append", default=[], help="override a key of the profile people")
    parser.add_argument("--sheet", type=Path, help="picture: real, by own and by another's sound, of the first people")
    args = parser.parse_args()
    torch.set_num_threads(1)
    profile, detector = load_profile("people", args.set), MediaPipeHolistic.packaged()
    real = held_out(args.clips, profile.video.frames, profile.video.height, args.framing, detector)
    rows, sheets = [], []
    for name, folder in (model.split("=", 1) for model in args.models):
        pipeline = build_pipeline(profile, folder, args.steps)
        if not rows:
            kept = np.stack([reconstructed(pipeline.vae, person.frames[: real.frames]) for person in real.people])
            seen, found = openings(kept, detector)
            r = np.nanmean(correlations(seen, real), axis=0)
            rows.append(
                {
                    "": "reconstruction",
                    "faces found": f"{found:.0%}",
                    "r, own sound": f"{r[0]:.3f} ({r[1]:.3f})",
                    **dict.fromkeys(OF_TWO, ""),
                }
            )
        videos = {moved: made(pipeline, real, moved, args.guidance) for moved in (0, 1)}
        read = {moved: openings(video, detector) for moved, video in videos.items()}
        both = {moved: correlations(found, real) for moved, (found, _) in read.items()}
        own, other = (np.nanmean(values, axis=0) for values in (both[0], both[1]))
        rows.append(
            {
                "": name, "faces found": f"{read[0][1]:.0%}", "r, own sound": f"{own[0]:.3f} ({own[1]:.3f})",
                OF_TWO[0]: f"{other[0]:.3f} ({other[1]:.3f})",
                OF_TWO[1]: _told(difference(both[0][:, 0], both[1][:, 0])),
                OF_TWO[2]: _told(difference(both[0][:, 1], both[1][:, 1])),
            }
        )  # fmt: skip
        sheets.append([videos[0], videos[1]])
    print("r with what is read of the real clip (with the truth)\n")
    print(markdown_table(rows))
    if args.sheet:
        lines = [
            np.concatenate([video[place][t] for video in (np.stack([p.frames[: real.frames] for p in real.people]), *sheets[-1]) for t in SHOWN], axis=1)
            for place in range(min(6, args.clips))
        ]  # fmt: skip
        picture = cv2.cvtColor(np.concatenate(lines), cv2.COLOR_RGB2BGR)
        write_atomically(args.sheet, cv2.imencode(args.sheet.suffix, picture)[1].tobytes())


if __name__ == "__main__":
    main()
