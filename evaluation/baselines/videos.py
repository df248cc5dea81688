"""The real clips of a benchmark, and a method's videos of the same clips, matched by file name.

What does not fit is found before anything is scored, and named file by file in one error.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pandas as pd

from evaluation.metrics.observation.needs import Need
from media import MediaError, Probe, decode_clip, encode_clip, probe_clip, sha256_of_file
from media.user_error import UserError

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
RATE_TOLERANCE = 0.01  # frames per second: containers round 30000/1001
SAMPLE_RATE = 16_000
SHOWN = 5  # problems in an error


class BaselineError(UserError, ValueError):
    """Samples or videos that cannot be compared; the message names each file and the remedy."""


@dataclass(frozen=True)
class Sample:
    """One real clip: its first `frames` frames count, at `fps`, `height` x `width` pixels."""

    name: str
    path: Path
    frames: int
    fps: float
    height: int
    width: int
    has_audio: bool

    def read(self) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB."""
        return decode_clip(self.path, self.fps).frames[: self.frames]

    def sound(self) -> np.ndarray | None:
        """`(S,)` float32 at `SAMPLE_RATE` over the frames that count; None where the clip has none."""
        if not self.has_audio:
            return None
        sound = decode_clip(self.path, self.fps, SAMPLE_RATE).audio
        return None if sound is None else sound[: round(self.frames / self.fps * SAMPLE_RATE)]


@dataclass(frozen=True)
class Samples:
    """What every method is scored on. `digest` is over names and content of the real clips, 64 hex.
    `left_out` are names beyond a limit, which a method may have videos of all the same."""

    name: str
    samples: tuple[Sample, ...]
    digest: str
    left_out: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def has(self) -> frozenset[Need]:
        """What at least one of the clips brings beside generated frames."""
        sounding: set[Need] = {"sound", "sounding_file"} if any(s.has_audio for s in self.samples) else set()
        return frozenset(sounding | {"truth_frames"})


class Videos(Protocol):
    """A method's videos of the samples."""

    @property
    def title(self) -> str:
        """The method's name in the tables."""
        ...

    def frames(self, sample: Sample) -> np.ndarray:
        """`(T, H, W, 3)` uint8 of the sample's own rate, size and length."""
        ...

    def file(self, sample: Sample) -> Path | bytes | None:
        """The video with its sound, None where it has none."""
        ...


def folder_samples(folder: Path, limit: int | None = None) -> Samples:
    """Every video of a folder, by file name without suffix, all of its frames.

    Raises:
        BaselineError: no folder, no video, two videos of one name, or one that does not decode.
    """
    files = _videos(folder)
    if not files:
        raise BaselineError(f"{folder} holds no video ({', '.join(SUFFIXES)}); give the folder of the real clips")
    names = sorted(files)[:limit]
    probes = _probed({name: files[name] for name in names})
    samples = [Sample(n, files[n], _length(p, p.fps), p.fps, p.height, p.width, p.has_audio) for n, p in probes.items()]
    return Samples(folder.name, tuple(samples), _digest(samples), frozenset(files) - set(names))


def puppet_samples(benchmark: Path, limit: int | None = None) -> Samples:
    """The clips of `benchmark_sets`, their windows only.

    Raises:
        BaselineError: no such benchmark.
    """
    manifest = benchmark / "manifest.parquet"
    if not manifest.is_file():
        raise BaselineError(
            f"no {manifest}; make it with `python -m assets benchmark_sets`, or name a folder of real clips"
        )
    every = list(pd.read_parquet(manifest).itertuples())
    rows = every[:limit]
    probes = _probed({row.name: benchmark / row.clip for row in rows})
    samples = [
        Sample(
            row.name,
            benchmark / row.clip,
            int(row.window_frames),
            float(row.fps),
            probes[row.name].height,
            probes[row.name].width,
            probes[row.name].has_audio,
        )
        for row in rows
    ]
    return Samples(
        "puppets", tuple(samples), _digest(samples), frozenset(r.name for r in every) - {r.name for r in rows}
    )


class FolderVideos:
    """A folder of videos with the file names of the samples."""

    def __init__(self, title: str, folder: Path, samples: Samples, fit: bool = False):
        """Match and check every file.

        Args:
            title: the method's name.
            folder: its videos, `<sample name>.<suffix>`.
            samples: the benchmark.
            fit: resize, resample and cut each video to its sample's size, rate and length instead of refusing it. A
                video that is too short is refused all the same.

        Raises:
            BaselineError: videos that are missing, left over, unreadable, or of another rate, size or length.
        """
        self.title, self._fit = title, fit
        self._files = _videos(folder)
        wanted = {sample.name for sample in samples.samples}
        problems = [f"{name} is missing" for name in sorted(wanted - set(self._files))]
        problems += [
            f"{self._files[name].name} belongs to no sample"
            for name in sorted(set(self._files) - wanted - samples.left_out)
        ]
        for sample in samples.samples:
            if sample.name in self._files:
                problems += self._misfits(sample)
        if problems:
            more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
            raise BaselineError(
                f"{title} ({folder}) does not fit the {len(samples)} samples of {samples.name}: "
                f"{'; '.join(problems[:SHOWN])}{more}. Each sample needs one video of its name, rate, size and length"
                + ("" if fit else "; --fit resizes, resamples and cuts")
            )

    def frames(self, sample: Sample) -> np.ndarray:
        """Decoded, and with `fit` resized."""
        frames = decode_clip(self._files[sample.name], sample.fps).frames[: sample.frames]
        if frames.shape[1:3] == (sample.height, sample.width):
            return frames
        return np.stack([cv2.resize(f, (sample.width, sample.height), interpolation=cv2.INTER_AREA) for f in frames])

    def file(self, sample: Sample) -> Path:
        """The file itself."""
        return self._files[sample.name]

    def _misfits(self, sample: Sample) -> list[str]:
        path = self._files[sample.name]
        try:
            probe = probe_clip(path)
        except MediaError as error:
            return [f"{path.name} does not decode ({error})"]
        available = _length(probe, sample.fps)
        if self._fit:
            return [] if available >= sample.frames else [f"{path.name} has {available} of {sample.frames} frames"]
        problems = []
        if abs(probe.fps - sample.fps) > RATE_TOLERANCE:
            problems.append(f"{path.name} runs at {probe.fps:g} frames a second, the sample at {sample.fps:g}")
        elif available != sample.frames:
            problems.append(f"{path.name} has {available} frames, the sample {sample.frames}")
        if (probe.width, probe.height) != (sample.width, sample.height):
            problems.append(
                f"{path.name} is {probe.width} x {probe.height}, the sample {sample.width} x {sample.height}"
            )
        return problems


class RealVideos:
    """The samples themselves: the ceiling."""

    title = "ground truth (ceiling)"

    def frames(self, sample: Sample) -> np.ndarray:
        """As decoded."""
        return sample.read()

    def file(self, sample: Sample) -> Path:
        """The real clip."""
        return sample.path


class ArrayVideos:
    """Videos that are arrays already, `generated_videos` for one. `sounds` are `(S,)` at 16 kHz."""

    def __init__(
        self, title: str, videos: Mapping[str, np.ndarray], sounds: Mapping[str, np.ndarray], samples: Samples
    ):
        """Check names and shapes.

        Raises:
            BaselineError: a sample without a video, or a video of another shape.
        """
        self.title, self._videos, self._sounds = title, videos, sounds
        for sample in samples.samples:
            shape = (sample.frames, sample.height, sample.width, 3)
            shown = videos[sample.name].shape if sample.name in videos else "missing"
            if shown != shape:
                raise BaselineError(
                    f"{title}: the video of {sample.name} is {shown}, the sample {shape}; generate it again"
                )

    def frames(self, sample: Sample) -> np.ndarray:
        """As given."""
        return self._videos[sample.name]

    def file(self, sample: Sample) -> bytes | None:
        """Encoded with its sound."""
        sound = self._sounds.get(sample.name)
        return None if sound is None else encode_clip(self._videos[sample.name], sample.fps, sound)


def _videos(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise BaselineError(f"no folder {folder}; give a folder of videos")
    files: dict[str, Path] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")):
        if path.stem in files:
            raise BaselineError(
                f"{folder} holds both {files[path.stem].name} and {path.name}; keep one video of each sample"
            )
        files[path.stem] = path
    return files


def _length(probe: Probe, fps: float) -> int:
    """Frames that decoding at `fps` gives; of an uneven rate not those in the file."""
    return max(1, int(probe.duration * fps + 1e-3))


def _probed(files: Mapping[str, Path]) -> dict[str, Probe]:
    probes, problems = {}, []
    for name, path in files.items():
        try:
            probes[name] = probe_clip(path)
        except MediaError as error:
            problems.append(f"{path} ({error})")
    if problems:
        raise BaselineError(f"real clips do not decode: {'; '.join(problems[:SHOWN])}; replace or remove them")
    return probes


def _digest(samples: Sequence[Sample]) -> str:
    lines = [f"{s.name}\0{sha256_of_file(s.path)}\0{s.frames}\n" for s in samples]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
