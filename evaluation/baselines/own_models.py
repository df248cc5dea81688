"""Our own models' videos of a frozen set of clips, as a comparison takes any method's."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from evaluation.baselines.samples import Sample, Samples
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.generated import Generated
from media import encode_clip
from media.framing import crop_to


def frozen_samples(benchmark: ClipBenchmark, clips: Sequence[int], *, pictures: bool = True) -> Samples:
    """Some clips of a frozen set, by number, each with the picture that models are given of it.

    Args:
        benchmark: the set.
        clips: numbers; the names of the others are `left_out`.
        pictures: False leaves the picture unknown, and then the clip's first frame stands in for it.
    """
    samples = []
    for clip in clips:
        (frames, height, width), row = benchmark.shape(clip), benchmark.frozen.samples[clip]
        picture = benchmark.path / row.reference if pictures else None
        path = benchmark.path / row.clip
        samples.append(
            Sample(
                benchmark.names[clip],
                path,
                frames,
                benchmark.fps,
                height,
                width,
                benchmark.heard(clip),
                picture=picture,
            )
        )
    left_out = frozenset(benchmark.names) - {sample.name for sample in samples}
    return Samples(benchmark.name, tuple(samples), benchmark.digest, left_out)


class GeneratedVideos:
    """What one model made of a frozen set in one mode, read one video at a time."""

    def __init__(self, title: str, generated: Generated):
        """Take `title`, the model's name in the tables, and its videos."""
        self.title, self._generated = title, generated

    def size(self, sample: Sample) -> tuple[int, int]:
        """The sample's, in whose shape it was generated."""
        return sample.height, sample.width

    def frames(self, sample: Sample) -> np.ndarray:
        """In the frame in which all methods are compared.

        Raises:
            evaluation.benchmark.generated.GenerationError: there is no video of this sample.
        """
        made = self._generated.frames(sample.name)
        return np.stack([crop_to(picture, sample.height, sample.width) for picture in made])

    def sound(self, sample: Sample) -> np.ndarray | None:
        """The real clip's."""
        return sample.sound()

    def file(self, sample: Sample) -> Path | bytes | None:
        """Encoded with its sound."""
        sound = self.sound(sample)
        return None if sound is None else encode_clip(self.frames(sample), sample.fps, sound)
