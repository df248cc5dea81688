"""A method's videos of the clips of a benchmark, matched by file name.

What does not fit is found before anything is scored, and named file by file in one error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np

from evaluation.baselines.samples import SHOWN, BaselineError, Sample, Samples, frames_at, videos_by_name
from media import MediaError, decode_clip, encode_clip, probe_clip
from media.framing import centre_part, crop_to
from media.user_error import some_of

RATE_TOLERANCE = 0.01  # frames per second: containers round 30000/1001


class Videos(Protocol):
    """A method's videos of the samples."""

    @property
    def title(self) -> str:
        """The method's name in the tables."""
        ...

    def size(self, sample: Sample) -> tuple[int, int]:
        """Height and width of the video as it is."""
        ...

    def frames(self, sample: Sample) -> np.ndarray:
        """`(T, H, W, 3)` uint8 of the sample's own rate, size and length."""
        ...

    def sound(self, sample: Sample) -> np.ndarray | None:
        """`(S,)` float32 at 16 kHz, the sound that the method was given; None where there was none."""
        ...

    def file(self, sample: Sample) -> Path | bytes | None:
        """The video with its sound, None where it has none."""
        ...


class FolderVideos:
    """A folder of videos with the file names of the samples."""

    def __init__(self, title: str, folder: Path, samples: Samples, fit: bool = False):
        """Match and check every file.

        Args:
            title: the method's name.
            folder: its videos, `<sample name>.<suffix>`.
            samples: the benchmark.
            fit: take videos of another size, rate and length too (`in_one_frame` says at which size all are compared),
                resample and cut them. A video that is too short is refused all the same.

        Raises:
            BaselineError: videos that are missing, left over, unreadable, or of another rate, size or length.
        """
        self.title, self._fit = title, fit
        self._files = videos_by_name(folder)
        self._sizes: dict[str, tuple[int, int]] = {}
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
            raise BaselineError(
                f"{title} ({folder}) does not fit the {len(samples)} samples of {samples.name}: "
                f"{some_of(problems, SHOWN, '; ')}. Each sample needs one video of its name, rate, size and length"
                + ("" if fit else "; --fit resizes, resamples and cuts")
            )

    def frames(self, sample: Sample) -> np.ndarray:
        """Decoded, and with `fit` cut about the centre and resized, as generation does with what it is given."""
        clip = decode_clip(
            self._files[sample.name], sample.fps, transform=lambda image: crop_to(image, sample.height, sample.width)
        )
        return clip.frames[: sample.frames]

    def size(self, sample: Sample) -> tuple[int, int]:
        """As the file's header says."""
        return self._sizes[sample.name]

    def sound(self, sample: Sample) -> np.ndarray | None:
        """The real clip's."""
        return sample.sound()

    def file(self, sample: Sample) -> Path:
        """The file itself."""
        return self._files[sample.name]

    def _misfits(self, sample: Sample) -> list[str]:
        path = self._files[sample.name]
        try:
            probe = probe_clip(path)
        except MediaError as error:
            return [f"{path.name} does not decode ({error})"]
        self._sizes[sample.name] = (probe.height, probe.width)
        available = frames_at(probe, sample.fps)
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

    def size(self, sample: Sample) -> tuple[int, int]:
        """The sample's."""
        return sample.height, sample.width

    def frames(self, sample: Sample) -> np.ndarray:
        """As decoded."""
        return sample.read()

    def sound(self, sample: Sample) -> np.ndarray | None:
        """The real clip's."""
        return sample.sound()

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

    def size(self, sample: Sample) -> tuple[int, int]:
        """The sample's, which was checked."""
        return sample.height, sample.width

    def frames(self, sample: Sample) -> np.ndarray:
        """As given."""
        return self._videos[sample.name]

    def sound(self, sample: Sample) -> np.ndarray | None:
        """As given."""
        return self._sounds.get(sample.name)

    def file(self, sample: Sample) -> bytes | None:
        """Encoded with its sound."""
        sound = self.sound(sample)
        return None if sound is None else encode_clip(self._videos[sample.name], sample.fps, sound)


def in_one_frame(samples: Samples, methods: Sequence[Videos]) -> Samples:
    """The samples in the one frame that all methods' videos show, at the size of the smallest: nothing is enlarged.

    A method that was given a clip, or a picture of it, cut it about its centre to a shape of its own (`media.framing`). So the part
    that all show is about the centre too, as narrow as the narrowest and as low as the lowest of them.
    """
    return replace(samples, samples=tuple(_in_one_frame(sample, methods) for sample in samples.samples))


def _in_one_frame(sample: Sample, methods: Sequence[Videos]) -> Sample:
    sizes = [(sample.height, sample.width), *(method.size(sample) for method in methods)]
    shown = [centre_part(sample.height, sample.width, *size)[2:] for size in sizes]
    height, width = (min(sides) for sides in zip(*shown, strict=True))
    parts = [size if same_shape(size, (height, width)) else centre_part(*size, height, width)[2:] for size in sizes]
    smallest = min(parts, key=lambda part: part[0] * part[1])
    return replace(sample, height=smallest[0], width=smallest[1])


def same_shape(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether of two sizes one is the other enlarged, to a pixel of the smaller."""
    (height, width), (other_height, other_width) = sorted((first, second))
    return abs(height * other_width / other_height - width) < 1
