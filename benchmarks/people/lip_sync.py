"""What the packaged scores of lip-sync keep and turn away: `python -m benchmarks.people.lip_sync`. Minutes on one core.

Mouths and sounds of `people.speech`, held-out sentences and voices. The mouth is read as badly as MediaPipe reads a rendered one: its
opening by 0.4 to 0.7 of the truth, with noise until r is 0.85 to 0.95, half of it from frame to frame and half slow.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import pandas as pd

from curation.scores.contract import Values
from curation.scores.sound.mouth_audio import mouth_audio_correlation, mouth_audio_lag_frames
from curation.scores.sound.mouth_speech import mouth_speech
from media.speech.mouth_and_sound import envelope, lag_correlations
from networks.mouth_from_sound.predictor import MouthFromSound, load_mouth_from_sound
from people.speech.dubbing import Dubbed, dub, lay_under, noise
from people.speech.pack import utterance
from people.speech.recordings import RATE, Split
from people.speech.visemes import face_units, opening
from profiles.scores import MouthSpeechConfig

SLOPES, CORRELATIONS = (0.4, 0.7), (0.85, 0.95)  # of MediaPipe on rendered people, 64 to 256 pixels
SLOW_SECONDS = 0.5
PIXELS = 60.0  # width of the mouth
BED_DB = 15.0  # of noise under the speech
LENGTHS = ((16.0, 81), (16.0, 25), (25.0, 125), (25.0, 40))
MOVED = (-6, -3, -2, -1, 1, 2, 3, 6)  # frames by which the sound is late
# What a clip is kept by. The Wan profiles had the first and have the last.
LOUD, SPOKEN = "mouth_audio_correlation >= 0.3", "mouth_speech_correlation >= 0.4"
RULES = {
    "loudness": LOUD,
    "loudness and its lag": f"{LOUD} and -1 <= mouth_audio_lag_frames <= 1",
    "loudness, speech and its lag": f"{LOUD} and {SPOKEN} and -1 <= mouth_speech_lag_frames <= 1",
}
OUT_OF_SYNC = ("late by 6", "late by -6", "other_words")  # of which precision is told, as many clips of each


def read_badly(mouth: np.ndarray, fps: float, rng: np.random.Generator) -> np.ndarray:
    """`(T,)` opening in pixels as a network of landmarks sees `(T,)` true openings over the mouth's width."""
    window = np.hanning(2 * round(SLOW_SECONDS * fps) + 1)
    drift = np.convolve(rng.standard_normal(len(mouth) + len(window) - 1), window, "valid")
    added = rng.standard_normal(len(mouth)) + drift / drift.std()
    deviation = mouth.std() * np.sqrt(rng.uniform(*CORRELATIONS) ** -2 - 1)
    return PIXELS * rng.uniform(*SLOPES) * (mouth + added * deviation / added.std())


def cases(seed: int, fps: float, frames: int, split: Split) -> Iterator[tuple[str, Dubbed]]:
    """A clip of each case: in sync, in sync in a noisy room, and out of sync in every way."""
    seconds = frames / fps
    said = utterance(seed, seconds, split=split)
    yield "in sync", Dubbed(said, said.audio)
    bed = noise(np.random.default_rng([seed, 2]), len(said.audio))
    yield "in sync, noise 15 dB below", Dubbed(said, lay_under(said.audio, bed, BED_DB))
    for moved in MOVED:
        yield f"late by {moved}", dub("late", seed, seconds, split=split, late_by=moved / fps)
    for kind in ("other_words", "other_voice", "pause"):
        yield kind, dub(kind, seed, seconds, split=split)


def columns(clip: Dubbed, fps: float, frames: int, rng: np.random.Generator, predict: MouthFromSound) -> Values:
    """What scores.parquet would hold of a clip."""
    config = MouthSpeechConfig()
    seen = read_badly(opening(face_units(clip.mouth, fps, frames)), fps, rng)
    heard = envelope(clip.audio, frames, fps, RATE)
    speech = mouth_speech(lag_correlations(seen, predict(clip.audio, fps, frames), config.lags, config.fewest))
    return speech | {
        "mouth_audio_correlation": mouth_audio_correlation(seen, heard),
        "mouth_audio_lag_frames": mouth_audio_lag_frames(seen, heard),
    }


def measure(fps: float, frames: int, clips: int, seed: int = 2_000_000) -> pd.DataFrame:
    """Columns of so many clips of each case, indexed by case."""
    predict, rows, names = load_mouth_from_sound(), [], []
    for number in range(seed, seed + clips):
        for place, (name, clip) in enumerate(cases(number, fps, frames, "held_out")):
            names.append(name)
            rows.append(columns(clip, fps, frames, np.random.default_rng([number, place]), predict))
    return pd.DataFrame(rows, index=names)


def precision_and_recall(kept: pd.Series) -> tuple[float, float]:
    """Of clips half of which are in sync, the others of `OUT_OF_SYNC` in equal parts, whether each is kept by index of case."""
    recall = float(kept["in sync"].mean())
    wrong = float(np.mean([kept[name].mean() for name in OUT_OF_SYNC]))
    return (recall / (recall + wrong) if recall + wrong else float("nan")), recall


def lines(table: pd.DataFrame) -> Iterator[str]:
    """Two markdown tables: medians, lags and shares kept by case; precision and recall by rule."""
    kept = pd.DataFrame({name: table.eval(rule) for name, rule in RULES.items()})
    yield "| case | r, loudness | r, speech | lag found | kept by " + " | ".join(RULES) + " |"
    yield "| --- |" + " ---: |" * (3 + len(RULES))
    for name, rows in table.groupby(level=0, sort=False):
        loud, speech = rows[["mouth_audio_correlation", "mouth_speech_correlation"]].median()
        shares = " | ".join(f"{share:.0%}" for share in kept.loc[name].mean())
        yield f"| {name} | {loud:.2f} | {speech:.2f} | {_lag_found(str(name), rows)} | {shares} |"
    yield "\n| rule | precision | recall |\n| --- | ---: | ---: |"
    for name in RULES:
        precision, recall = precision_and_recall(kept[name])
        yield f"| {name} | {precision:.3f} | {recall:.3f} |"


def _lag_found(case: str, rows: pd.DataFrame) -> str:
    """Share in which the lag is the one that was put in, to the frame; empty where none was, or it is beyond the searched."""
    late = int(case.removeprefix("late by ")) if case.startswith("late") else 0
    told = case.startswith(("late", "in sync")) and abs(late) <= MouthSpeechConfig().lags
    return f"{(rows['mouth_speech_lag_frames'] == -late).mean():.0%}" if told else ""


def main() -> None:
    """Print both tables for every length."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100)
    clips = parser.parse_args().clips
    for fps, frames in LENGTHS:
        print(f"\n### {frames} frames at {fps:g} a second")
        print("\n".join(lines(measure(fps, frames, clips))), flush=True)


if __name__ == "__main__":
    main()
