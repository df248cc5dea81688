"""A frozen set of real clips (`media.frozen_set`) as a benchmark: read from its files one sample at a time."""

from functools import lru_cache
from pathlib import Path

import torch

from evaluation.benchmark.benchmark import Benchmark, BenchmarkError, BenchmarkSample
from evaluation.benchmark.people_truth import knows_truth, person_truth
from evaluation.metrics.person_truth import PersonTruth
from media.frozen_set import FrozenSet, load_frozen_set


class ClipBenchmark(Benchmark):
    """Real clips; pixels, sound and keypoints are read when they are asked for.

    Attributes:
        frozen: the set, whose files are those that were frozen.
    """

    def __init__(self, path: Path, name: str):
        """Open a set.

        Raises:
            BenchmarkError: there is none.
            media.frozen_set.FrozenSetError: one of another format, or not what was frozen.
        """
        if not path.is_dir():
            raise BenchmarkError(f"no {path}; make the benchmark with `python -m assets benchmark_sets`")
        self.name, self.frozen = name, _opened(path, _state(path))
        self.names = tuple(sample.sample_id for sample in self.frozen.samples)
        self.captions = tuple(sample.caption for sample in self.frozen.samples)
        self.fps, self.sample_rate = self.frozen.samples[0].fps, self.frozen.samples[0].sample_rate
        self.digest = self.frozen.digest

    @property
    def path(self) -> Path:
        """Its folder."""
        return self.frozen.path

    def sample(self, clip: int) -> BenchmarkSample:
        """One sample, by number.

        Raises:
            media.frozen_set.FrozenSetError: its reference is no picture.
        """
        row = self.frozen.samples[clip]
        sound, keypoints = self.frozen.audio(row), self.frozen.keypoints(row)
        return BenchmarkSample(
            name=row.sample_id,
            caption=row.caption,
            frames=torch.from_numpy(self.frozen.frames(row)),
            reference=torch.from_numpy(self.frozen.reference(row)),
            audio=None if sound is None else torch.from_numpy(sound),
            keypoints=None if keypoints is None else torch.from_numpy(keypoints),
        )

    @property
    def knows_truth(self) -> bool:
        """Whether its people were rendered, and their truth lies beside them."""
        return knows_truth(self.frozen)

    def truth(self, clip: int) -> PersonTruth:
        """What is true of a sample of rendered people, by number.

        Raises:
            BenchmarkError: its file is missing or not the frozen one.
        """
        return person_truth(self.frozen, self.frozen.samples[clip])

    def shape(self, clip: int) -> tuple[int, int, int]:
        """T, H, W of a sample, without reading its pixels."""
        row = self.frozen.samples[clip]
        return row.window_frames, row.height, row.width

    def heard(self, clip: int) -> bool:
        """Whether it has sound."""
        return bool(self.frozen.samples[clip].audio)

    def posed(self, clip: int) -> bool:
        """Whether it has keypoints."""
        return bool(self.frozen.samples[clip].pose)


@lru_cache(maxsize=8)
def _opened(path: Path, state: tuple[tuple[str, int, int], ...]) -> FrozenSet:
    """Every file's hash is checked, once as long as no file's size or time changes."""
    return load_frozen_set(path)


def _state(path: Path) -> tuple[tuple[str, int, int], ...]:
    files = ((file, file.stat()) for file in sorted(path.rglob("*")) if file.is_file())
    return tuple((str(file), status.st_size, status.st_mtime_ns) for file, status in files)
