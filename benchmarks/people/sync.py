"""How sharply speech tells where its mouth is: `python -m benchmarks.people.sync`. Minutes on one core.

Of the mouths of `people.speech` (unit values, no pictures): r with the sound's loudness and with what a ridge regression from 7
frames of log-mel predicts, at lag 0 and a frame to either side, on sentences and voices that the regression has not heard.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from media.speech.mouth_and_sound import envelope
from networks.mouth_from_sound.predictor import log_mel
from people.speech.pack import utterance
from people.speech.recordings import RATE, Split
from people.speech.visemes import face_units, opening

CONTEXT = 3  # frames to either side
RIDGE = 200.0
LAGS = 6


@dataclass(frozen=True)
class Sharpness:
    """Means over clips: r with the mouth at lag -1, 0 and 1 (before the sound, in time, after it), and the share of clips in which lag 0 is best of -6..6."""

    early: float
    in_time: float
    late: float
    best_at_0: float

    def line(self, name: str) -> str:
        """A row of a markdown table."""
        return f"| {name} | {self.early:.2f} | {self.in_time:.2f} | {self.late:.2f} | {self.best_at_0:.1%} |"


@dataclass(frozen=True)
class Clips:
    """Mouths `(N, T)`, loudness `(N, T)` and log-mel features `(N, T, F)` of the same clips."""

    mouths: np.ndarray
    loudness: np.ndarray
    features: np.ndarray


def make_clips(split: Split, seed: int, clips: int, fps: float, frames: int) -> Clips:
    """Clips of utterances `seed`, `seed + 1`, ..."""
    said = [utterance(number, frames / fps, split=split) for number in range(seed, seed + clips)]
    times = (np.arange(frames)[:, None] + np.arange(-CONTEXT, CONTEXT + 1) + 0.5) / fps
    return Clips(
        np.stack([opening(face_units(one, fps, frames)) for one in said]),
        np.stack([envelope(one.audio, frames, fps, RATE) for one in said]),
        np.stack([log_mel(one.audio, times.ravel()).reshape(frames, -1) for one in said]),
    )


def fit_ridge(clips: Clips) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights `(F,)`, and mean and deviation of the features."""
    rows, mouths = clips.features.reshape(-1, clips.features.shape[-1]), clips.mouths.ravel()
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    rows = (rows - mean) / deviation
    inner = rows.T @ rows + RIDGE * np.eye(rows.shape[1])
    return np.linalg.solve(inner, rows.T @ (mouths - mouths.mean())), mean, deviation


def sharpness(mouths: np.ndarray, heard: np.ndarray) -> Sharpness:
    """Of `(N, T)` mouths and what is heard of them, over the frames that both have at a lag."""
    found = np.array(
        [
            [_correlation(mouth, sound, lag) for lag in range(-LAGS, LAGS + 1)]
            for mouth, sound in zip(mouths, heard, strict=True)
        ]
    )
    early, in_time, late = np.nanmean(found, axis=0)[[LAGS - 1, LAGS, LAGS + 1]]
    return Sharpness(early, in_time, late, float(np.mean(np.nanargmax(found, axis=1) == LAGS)))


def _correlation(mouth: np.ndarray, sound: np.ndarray, lag: int) -> float:
    length = len(mouth) - abs(lag)
    moved = sound[max(-lag, 0) :][:length]
    return float(np.corrcoef(mouth[max(lag, 0) :][:length], moved)[0, 1])


def measure(fps: float, frames: int, clips: int) -> tuple[Sharpness, Sharpness]:
    """By loudness, and by the ridge regression, at one frame rate and length."""
    weights, mean, deviation = fit_ridge(make_clips("train", 0, clips, fps, frames))
    held_out = make_clips("held_out", 1_000_000, clips, fps, frames)
    predicted = ((held_out.features - mean) / deviation) @ weights
    return sharpness(held_out.mouths, held_out.loudness), sharpness(held_out.mouths, predicted)


def main() -> None:
    """Print a markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=300)
    clips = parser.parse_args().clips
    print(
        "| frames a second, frames | heard as | r, mouth a frame early | r at lag 0 | r, mouth a frame late | best lag is 0 |"
    )
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for fps, frames in ((16.0, 25), (16.0, 81), (25.0, 40), (25.0, 125)):
        for name, found in zip(("loudness", "ridge of 7 frames"), measure(fps, frames, clips), strict=True):
            print(found.line(f"{fps:g}, {frames} | {name}"), flush=True)


if __name__ == "__main__":
    main()
