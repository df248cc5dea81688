"""One clip as metrics see it: all that can be known of it, made when the first metric asks, and gone with the clip."""

from collections.abc import Callable, Collection
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np

from evaluation.metrics.errors import MetricError
from evaluation.metrics.observation.instruments import FaceEmbedding, FeatureExtractor, Features, Instruments, Sync
from evaluation.metrics.observation.needs import MATERIAL, STANDS_IN, Need
from evaluation.metrics.people.face_reading import FaceReading
from evaluation.metrics.person_truth import PersonTruth
from evaluation.metrics.puppet_truth import PuppetTruth
from media.speech.mouth_and_sound import envelope
from puppets import measure
from puppets.measure import Measurement

SPEECH_RATE = 16_000
T = TypeVar("T")
Given: TypeAlias = T | Callable[[], T | None] | None
"""What a clip brings: the thing itself, a function that makes it when somebody asks, or None. The function may find that there is none."""


class Observed:
    """A generated video, what it was made from, what it should have been, and what the instruments say of all of them.

    Nothing is computed before it is asked for, and nothing twice.

    Attributes:
        name: of the clip.
        fps: frames per second of every video of it.
        generated: `(T, H, W, 3)` uint8 RGB.
        sample_rate: of `sound`.
    """

    def __init__(
        self,
        name: str,
        fps: float,
        generated: np.ndarray,
        instruments: Instruments | None = None,
        *,
        real: Given[np.ndarray] = None,
        reference: Given[np.ndarray] = None,
        sound: Given[np.ndarray] = None,
        sample_rate: int = 16_000,
        file: Given[Path | bytes] = None,
        second_seed: Given[np.ndarray] = None,
        latents: Given[np.ndarray] = None,
        real_latents: Given[np.ndarray] = None,
        puppet_truth: Given[PuppetTruth] = None,
        given_opening: Given[np.ndarray] = None,
        person_truth: Given[PersonTruth] = None,
    ):
        """Take what there is of the clip.

        Args:
            name: of the clip.
            fps: of its videos.
            generated: `(T, H, W, 3)` uint8 RGB.
            instruments: what looks at it.
            real: the real clip, of the same shape.
            reference: `(h, w, 3)` uint8, the picture that the method was given, of any size.
            sound: `(S,)` float32, the sound that the method was given, from the first frame on.
            sample_rate: of the sound.
            file: the generated video with its sound.
            second_seed: the video of the same conditions and other noise, of the same shape.
            latents: `(C, F, h, w)` of the generated video.
            real_latents: of the real clip.
            puppet_truth: what is true of a puppet.
            given_opening: `(T,)` opening of the mouth that the given sound asks for, where it is another clip's.
            person_truth: what is true of a rendered person.
        """
        self.name, self.fps, self.generated, self.sample_rate = name, fps, generated, sample_rate
        self.instruments = instruments or Instruments()
        puppets = self.instruments.puppets
        if puppet_truth is None and puppets is not None:
            puppet_truth = puppets[name]
        self._given: dict[Need, object] = {
            "truth_frames": real,
            "reference": reference,
            "sound": sound,
            "sounding_file": file,
            "second_seed": second_seed,
            "latents": latents,
            "puppet_truth": puppet_truth,
            "given_opening": given_opening,
            "person_truth": person_truth,
        }
        self._real_latents = real_latents
        self._embeddings: dict[tuple[Need, str], np.ndarray] = {}
        self._features: dict[Need, Features] = {}

    def absent(self, needs: Collection[Need]) -> Need | None:
        """The first of the needs that this clip does not have, although its set may; None where all are there."""
        return next((need for need in needs if need in MATERIAL and self._find(need) is None), None)

    def _find(self, need: Need) -> object:
        given = self._own(need)
        return self._own(STANDS_IN[need]) if given is None and need in STANDS_IN else given

    def _own(self, need: Need) -> object:
        given = self._given[need]
        if callable(given):
            given = self._given[need] = given()
        return given

    def _have(self, need: Need, kind: type[T]) -> T:
        found = self._own(need)
        if not isinstance(found, kind):
            raise MetricError(f"clip {self.name}: {MATERIAL[need].reason}; {MATERIAL[need].remedy}")
        return found

    @property
    def real(self) -> np.ndarray:
        """`(T, H, W, 3)` uint8, the real clip."""
        return self._have("truth_frames", np.ndarray)

    @property
    def reference(self) -> np.ndarray:
        """`(h, w, 3)` uint8: the picture that the method was given; without one the real clip's first frame."""
        return self._have("reference", np.ndarray) if self.has_reference else self.real[0]

    @property
    def has_reference(self) -> bool:
        """Whether the picture that the method was given is known."""
        return self._own("reference") is not None

    @property
    def sound(self) -> np.ndarray:
        """`(S,)` float32 at `sample_rate`, as the method was given it."""
        return self._have("sound", np.ndarray)

    @property
    def file(self) -> Path | bytes:
        """The generated video with its sound."""
        found = self._own("sounding_file")
        return found if isinstance(found, bytes) else self._have("sounding_file", Path)

    @property
    def second_seed(self) -> np.ndarray:
        """`(T, H, W, 3)` uint8 from other noise."""
        return self._have("second_seed", np.ndarray)

    @cached_property
    def latents(self) -> tuple[np.ndarray, np.ndarray]:
        """`(C, F, h, w)` of the generated video and of the real clip."""
        real = self._real_latents() if callable(self._real_latents) else self._real_latents
        if real is None:
            raise MetricError(f"clip {self.name} has latents of the generated video only; give the real clip's too")
        return self._have("latents", np.ndarray), real

    @property
    def puppet_truth(self) -> PuppetTruth:
        """What is true of the puppet."""
        return self._have("puppet_truth", PuppetTruth)

    @property
    def given_opening(self) -> np.ndarray:
        """`(T,)` opening of the mouth that the given sound asks for."""
        return self._have("given_opening", np.ndarray)

    @property
    def person_truth(self) -> PersonTruth:
        """What is true of the rendered person."""
        return self._have("person_truth", PersonTruth)

    @cached_property
    def measured(self) -> Measurement:
        """The puppet as read from the generated video."""
        return measure(self.generated)

    @cached_property
    def measured_second_seed(self) -> Measurement:
        """The puppet as read from the video of other noise."""
        return measure(self.second_seed)

    @cached_property
    def keypoints(self) -> np.ndarray:
        """`(T, 133, 3)` x, y, confidence in the generated video."""
        return self._keypoints(self.generated)

    @cached_property
    def real_keypoints(self) -> np.ndarray:
        """`(T, 133, 3)` of the real clip."""
        return self._keypoints(self.real)

    @cached_property
    def reference_keypoints(self) -> np.ndarray:
        """`(1, 133, 3)` of the reference, in its own pixels."""
        return self._keypoints(self.reference[None]) if self.has_reference else self.real_keypoints[:1]

    def _keypoints(self, frames: np.ndarray) -> np.ndarray:
        detector = self._judge("keypoints", self.instruments.keypoints)
        return self.instruments.cache.get(detector.network, frames, lambda: detector(frames))

    def features(self, need: Need) -> Features:
        """What `inception`, `i3d` or `imagenet` makes of the real clip and of the generated one."""
        if need not in self._features:
            extractor: FeatureExtractor = self._judge(need, getattr(self.instruments, need))
            sides = (
                self.instruments.cache.get(extractor.network, clip, partial(extractor, clip))
                for clip in (self.real, self.generated)
            )
            self._features[need] = Features(*sides)
        return self._features[need]

    def embeddings(self, need: Need) -> np.ndarray:
        """`(T, D)` of the faces of the generated video by `arcface` or `dlib_face`, NaN in rows without a face."""
        return self._embedded(need, "generated", lambda: (self.generated, self.keypoints))

    def reference_embedding(self, need: Need) -> np.ndarray:
        """`(D,)` of the reference's face, NaN where it shows none."""
        return self._embedded(need, "reference", lambda: (self.reference[None], self.reference_keypoints))[0]

    def _embedded(self, need: Need, side: str, seen: Callable[[], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
        if (need, side) not in self._embeddings:
            embed: FaceEmbedding = self._judge(need, getattr(self.instruments, need))
            self._embeddings[need, side] = embed(*seen())
        return self._embeddings[need, side]

    @cached_property
    def levels(self) -> np.ndarray:
        """`(S, 2)` quality and aesthetics, 1 to 5, of one frame for each second begun."""
        judge = self._judge("qalign", self.instruments.qalign)
        return self.instruments.cache.get(judge.network, self.generated, lambda: judge(self.generated, self.fps))

    @cached_property
    def sync(self) -> Sync | None:
        """What SyncNet says of the generated video with its sound; None where it cannot judge."""
        judge, file = self._judge("syncnet", self.instruments.syncnet), self.file
        written = np.frombuffer(file if isinstance(file, bytes) else file.read_bytes(), np.uint8)
        values = self.instruments.cache.get(judge.network, written, lambda: _numbers(judge(file)))
        return None if np.isnan(values).all() else Sync(*map(float, values))

    @cached_property
    def speech_opinions(self) -> np.ndarray:
        """`(3,)` how good the given sound's speech, its background and all of it sound, about 1 to 5."""
        return self._judge("dnsmos", self.instruments.dnsmos)(self.sound_at_16_khz)

    @cached_property
    def sound_at_16_khz(self) -> np.ndarray:
        """`(S,)` float32."""
        if self.sample_rate == SPEECH_RATE:
            return self.sound
        from scipy.signal import resample_poly

        resampled: np.ndarray = resample_poly(self.sound, SPEECH_RATE, self.sample_rate)
        return resampled.astype(np.float32)

    @cached_property
    def heard(self) -> np.ndarray:
        """`(T,)` RMS of the given sound about each frame."""
        return envelope(self.sound, len(self.generated), self.fps, self.sample_rate)

    @cached_property
    def face(self) -> FaceReading:
        """What is read from the face points of the generated video."""
        return FaceReading.of(self.keypoints, *self.generated.shape[1:3])

    @cached_property
    def real_face(self) -> FaceReading:
        """What is read from those of the real clip."""
        return FaceReading.of(self.real_keypoints, *self.real.shape[1:3])

    def _judge(self, need: Need, judge: T | None) -> T:
        if judge is None:
            raise MetricError(f"no instrument meets {need}; ask `measurable` which metrics can be had")
        return judge


def _numbers(sync: Sync | None) -> np.ndarray:
    return np.full(3, np.nan) if sync is None else np.array([sync.confidence, sync.distance, sync.offset])
