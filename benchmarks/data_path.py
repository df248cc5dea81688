"""The data path beside the least that could do the same, CPU seconds of one thread: `python -m benchmarks.data_path`.

| stage | its floor |
| --- | --- |
| rendering a puppet's file | its pictures and sound encoded, drawn before |
| decoding | every frame of the file by PyAV alone, in RGB |
| scoring | decoding of the same clips |
| encoding pictures, sound | the networks' forward passes alone on tensors that are ready |
| packing | the same bytes copied into arrays of the files' dtypes |
| loading a batch | its tensors copied |

Either side takes its turns; ratios are of medians. What a training waits for its data is `benchmarks.training.features_at_size`'s, with files behind
a slow line `benchmarks.training.remote_rows`'s.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import av
import cv2
import numpy as np
import torch

from assets.kinds.demo_corpus import PuppetFile
from benchmarks.curation.scores import time_scores, walking_texture
from benchmarks.training.features_at_size import row_shapes
from benchmarks.training.snapshot import write_snapshot
from curation.features.encoders import ConditionEncoders, load_encoders
from curation.features.feature_writer import BucketWriter
from curation.features.training_samples import CutSample
from media import decode_clip, encode_clip, probe_clip
from media.features.places import LATENTS
from media.speech.level import measure_speech
from profiles import Profile, load_profile
from profiles.schema import VideoConfig
from profiles.scores import ScoresConfig
from puppets import render
from training.data.loader import SnapshotData

PUPPETS, ROWS = 16, 256  # of an encoder's batch; of a file of features


@dataclass(frozen=True)
class Stage:
    """CPU seconds of a stage and of its floor, medians."""

    name: str
    ours: float
    floor: float

    @property
    def ratio(self) -> float:
        """How many times its floor it takes."""
        return self.ours / self.floor

    def row(self) -> str:
        """Of the table."""
        return f"| {self.name} | {self.ours * 1e3:.3g} | {self.floor * 1e3:.3g} | **{self.ratio:.2f}** |"


def beside(name: str, ours: Callable[[], object], floor: Callable[[], object], rounds: int) -> Stage:
    """Warm both up, then alternate."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 1):
        for side in (0, 1) if number % 2 else (1, 0):
            started = time.process_time()
            (ours, floor)[side]()
            taken[side].append(time.process_time() - started)
    return Stage(name, median(taken[0][1:]), median(taken[1][1:]))


def stages(rounds: int) -> Iterator[Stage]:
    """Each stage as it is measured."""
    profile = load_profile("laptop", [])
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        yield rendering(root, rounds)
        yield from decoding(profile, rounds)
        yield scoring(rounds)
        yield from encoding(profile, rounds)
        yield packing(root / "packed", profile, rounds)
        yield loading(root / "loaded", profile, rounds)


def rendering(folder: Path, rounds: int) -> Stage:
    """A puppet of 25 frames."""
    puppet, made = PuppetFile(1, "clean", 25), render(1, "clean", 25)
    return beside(
        "rendering a puppet",
        lambda: puppet.write(folder),
        lambda: encode_clip(made.frames, made.fps, made.audio),
        rounds,
    )


def decoding(profile: Profile, rounds: int) -> Iterator[Stage]:
    """A puppet at the profile's rate, and a larger film at its own."""
    made, video = render(1, "clean", 33), profile.video
    films = {
        "decoding a puppet": (encode_clip(made.frames, made.fps, made.audio), video.fps),
        "decoding 3 s of 640 x 360": (walking_texture(360, 640, 75, 25.0), 25.0),
    }
    for name, (data, fps) in films.items():
        yield beside(
            name,
            lambda data=data, fps=fps: decode_clip(data, fps, video.sample_rate),
            lambda data=data: bare_decoding(data),
            rounds,
        )


def bare_decoding(data: bytes) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Every frame in RGB, and every sample of sound as the codec gives it."""
    pictures, sounds = [], []
    with av.open(io.BytesIO(data)) as container:
        for frame in container.decode():
            if isinstance(frame, av.VideoFrame):
                pictures.append(frame.to_ndarray(format="rgb24"))
            else:
                sounds.append(frame.to_ndarray())
    return pictures, sounds


def scoring(rounds: int) -> Stage:
    """All CPU scores of a film of 640 x 360; its floor is decoding."""
    data = walking_texture(360, 640, 75, 25.0)
    probe = probe_clip(data)
    video = VideoConfig(height=probe.height // 16 * 16, width=probe.width, frames=81)
    taken = time_scores("made", data, video, ScoresConfig(), rounds)
    return Stage("all CPU scores, 3 s of 640 x 360", taken.decode * taken.ratio, taken.decode)


def encoding(profile: Profile, rounds: int) -> Iterator[Stage]:
    """A batch of puppets: window, reference and the frames before; and what they say."""
    encoders, batch = load_encoders(profile), cut_puppets(profile)
    for part, forward in (("latents", pictures_alone), ("audio", sound_alone)):
        floor = forward(encoders, batch)
        yield beside(
            f"encoding {PUPPETS} puppets' {'pictures' if part == 'latents' else 'sound'}",
            lambda part=part: encoders.encode(part, batch, profile.video),
            floor,
            rounds,
        )


def cut_puppets(profile: Profile) -> list[CutSample]:
    """Samples of puppets as they are cut from decoded clips."""
    batch, video = [], profile.video
    for seed in range(PUPPETS):
        made = render(seed, "clean", 25)
        sound = made.audio[: round(video.frames / video.fps * video.sample_rate)]
        batch.append(
            CutSample(
                None, made.frames[5 : 5 + video.frames], made.frames[0], made.frames[:5], sound, measure_speech(sound)
            )
        )
    return batch


def pictures_alone(encoders: ConditionEncoders, batch: list[CutSample]) -> Callable[[], None]:
    """The autoencoder's passes over tensors that are ready."""
    given = [
        torch.from_numpy(np.stack(frames)).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        for frames in ([c.frames for c in batch], [c.reference[None] for c in batch], [c.motion for c in batch])
    ]
    given = [pixels.to(encoders.autoencoder.dtype).contiguous() for pixels in given]

    @torch.no_grad()
    def forward() -> None:
        for pixels in given:
            encoders.autoencoder.encode(pixels)

    return forward


def sound_alone(encoders: ConditionEncoders, batch: list[CutSample]) -> Callable[[], None]:
    """The sound encoder's pass over waves that are ready."""
    waves = torch.from_numpy(np.stack([cut.audio for cut in batch])).float()

    @torch.no_grad()
    def forward() -> None:
        encoders.audio.model(waves, output_hidden_states=True)

    return forward


def packing(folder: Path, profile: Profile, rounds: int) -> Stage:
    """Rows of features into a file, in the batches that encoders hand over; the floor copies the same rows into memory."""
    video, shapes = profile.video, row_shapes(profile)
    rng, bucket = np.random.default_rng(0), profile.video.name_of(video.main)
    rows = {name: rng.random((ROWS, *shape), np.float32) for name, shape in shapes.items()}
    rows |= {"has_audio": np.ones(ROWS, np.uint8)}
    as_kept = {name: np.float16 if name in LATENTS or name == "audio" else rows[name].dtype for name in rows}
    copies = {name: np.zeros(values.shape, as_kept[name]) for name, values in rows.items()}
    folder.mkdir()

    def ours() -> None:
        writer = BucketWriter(folder, bucket, shapes, [True] * ROWS, "float16")
        for first in range(0, ROWS, PUPPETS):
            place = slice(first, first + PUPPETS)
            writer.put(range(first, first + PUPPETS), {name: values[place] for name, values in rows.items()})
        writer.close()

    def floor() -> None:
        for name, values in rows.items():
            np.copyto(copies[name], values, casting="same_kind")

    return beside(f"packing {ROWS} samples", ours, floor, rounds)


def loading(folder: Path, profile: Profile, rounds: int) -> Stage:
    """A batch of stage 3 with its noise and conditions; the floor copies what it is made of."""
    folder.mkdir()
    write_snapshot(folder, profile)
    stage = profile.stage_3
    data = SnapshotData(
        folder / "snapshot", folder / "features", profile, stage.subset, stage.seed, stage.batch_size, stage.ratios
    )
    numbers, batch = iter(range(10**9)), data.batch(0)
    tensors = [value for value in vars(batch).values() if isinstance(value, torch.Tensor)]

    def ours() -> Any:
        return data.batch(next(numbers)).conditions()

    return beside("loading a batch of 16", ours, lambda: [tensor.clone() for tensor in tensors], rounds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print("| stage | CPU ms | its floor, CPU ms | ratio |\n| --- | ---: | ---: | ---: |")
    for stage in stages(given.rounds):
        print(stage.row(), flush=True)


if __name__ == "__main__":
    main()
