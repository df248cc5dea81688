"""The real clips of a benchmark: what every method's videos are held against."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.metrics.observation.needs import Need
from media import MediaError, Probe, decode_frames, probe_clip, read_audio, sha256_of_file
from media.framing import crop_to
from media.frozen_set import read_reference
from media.user_error import UserError

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")
SAMPLE_RATE = 16_000
SHOWN = 5  # problems in an error


class BaselineError(UserError, ValueError):
    """Samples or videos that cannot be compared; the message names each file and the remedy."""


@dataclass(frozen=True)
class Sample:
    """One real clip: its first `frames` frames count, at `fps`, cut about their centre and resized to `height` x `width` pixels.

    What the methods were given as a picture is a frozen set's file `picture`, or else the frame `reference_frame`; None where that is not known."""

    name: str
    path: Path
    frames: int
    fps: float
    height: int
    width: int
    has_audio: bool
    reference_frame: int | None = None
    picture: Path | None = None

    @property
    def knows_reference(self) -> bool:
        """Whether it is known what the methods were given as a picture."""
        return self.picture is not None or self.reference_frame is not None

    def read(self) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB."""
        return self.decoded()[: self.frames]

    def reference(self) -> np.ndarray | None:
        """`(H, W, 3)` uint8 RGB; None where it is not known.

        Raises:
            media.frozen_set.FrozenSetError: a file that is no picture.
        """
        if self.picture is not None:
            return read_reference(self.picture)
        return None if self.reference_frame is None else self.decoded()[self.reference_frame]

    def decoded(self) -> np.ndarray:
        """`(N, H, W, 3)` uint8 RGB, every frame of the file."""
        return decode_frames(self.path, self.fps, transform=lambda image: crop_to(image, self.height, self.width))

    def sound(self) -> np.ndarray | None:
        """`(S,)` float32 at `SAMPLE_RATE` over the frames that count; None where the clip has none."""
        sound = self.whole_sound()
        return None if sound is None else sound[: round(self.frames / self.fps * SAMPLE_RATE)]

    def whole_sound(self) -> np.ndarray | None:
        """`(S,)` of the whole file, at least as long as the frames that count: what is missing is silence."""
        if not self.has_audio:
            return None
        sound, wanted = read_audio(self.path, SAMPLE_RATE), round(self.frames / self.fps * SAMPLE_RATE)
        return np.pad(sound, (0, max(0, wanted - len(sound))))


class OpenSample:
    """A real clip that several look at: its frames and its sound are read when somebody first asks, once, and are gone with it."""

    def __init__(self, sample: Sample):
        self.sample = sample

    @property
    def frames(self) -> np.ndarray:
        """`(T, H, W, 3)` uint8 RGB, the frames that count; nobody writes into them."""
        return self._decoded[: self.sample.frames]

    @property
    def reference(self) -> np.ndarray | None:
        """As `Sample.reference`."""
        number = self.sample.reference_frame
        return self.sample.reference() if self.sample.picture or number is None else self._decoded[number]

    @cached_property
    def _decoded(self) -> np.ndarray:
        return self.sample.decoded()

    @cached_property
    def sound(self) -> np.ndarray | None:
        """`(S,)` of the whole file; None where the clip has none."""
        return self.sample.whole_sound()


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
        shown: set[Need] = {"reference"} if any(s.knows_reference for s in self.samples) else set()
        return frozenset(sounding | shown | {"truth_frames"})


def folder_samples(folder: Path, limit: int | None = None) -> Samples:
    """Every video of a folder, by file name without suffix, all of its frames.

    Raises:
        BaselineError: no folder, no video, two videos of one name, or one that does not decode.
    """
    files = videos_by_name(folder)
    if not files:
        raise BaselineError(f"{folder} holds no video ({', '.join(SUFFIXES)}); give the folder of the real clips")
    names = sorted(files)[:limit]
    probes = _probed({name: files[name] for name in names})
    samples = [
        Sample(n, files[n], frames_at(p, p.fps), p.fps, p.height, p.width, p.has_audio) for n, p in probes.items()
    ]
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
            int(row.reference_frame),
        )
        for row in rows
    ]
    return Samples(
        "puppets", tuple(samples), _digest(samples), frozenset(r.name for r in every) - {r.name for r in rows}
    )


def videos_by_name(folder: Path) -> dict[str, Path]:
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


def frames_at(probe: Probe, fps: float) -> int:
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
