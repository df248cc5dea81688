"""Clips that can be damaged with a known error: rendered people, whose truth changes with the damage, and films, whose truth nobody knows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

import people
from evaluation.benchmark.people_truth import lids_of
from evaluation.metrics.people.truth.hands_and_body import ONE_HAND, hand_shown
from evaluation.metrics.person_truth import PersonTruth
from evaluation.trial.aspects import errors_of_film, errors_of_step, errors_of_truth
from evaluation.trial.ladder import (
    ARMS,
    DROPS,
    HEAD,
    LATE,
    LIDS,
    MIDWAY,
    MOUTH,
    OTHER_SOUND,
    PERSON,
    PIXELS,
    RECONSTRUCTION,
    SOUND_LATE,
    STILL_MOUTH,
    Step,
    damage_pixels,
    held_frames,
)
from people.motion import Change, Motion
from people.speech.recordings import RATE

MARGIN = 4  # frames to either side of the window, for what comes early or late
FRAMINGS = ("close", "portrait", "half", "upper")
Reconstruct = Callable[[np.ndarray], np.ndarray]
"""`(T, H, W, 3)` uint8 to the same through an autoencoder."""


@dataclass(frozen=True)
class Video:
    """A damaged video: `(T, H, W, 3)` frames, the sound that was given with it, the truth that the sound asks for, and true errors by aspect."""

    frames: np.ndarray
    sound: np.ndarray | None
    heard: PersonTruth | None
    errors: dict[str, float]


class RenderedScene:
    """A person of `seed` in a window of T frames; what is damaged in the scene is rendered again."""

    def __init__(self, seed: int, framing: str, size: int, frames: int, reconstruct: Reconstruct | None = None):
        """Nothing is rendered before it is asked for.

        Args:
            seed: of the clip; the next one's mouth, sound and face stand in for its own.
            framing: of `people.scene.camera.FRAMINGS`.
            size: side of the picture.
            frames: of the window.
            reconstruct: the autoencoder; None leaves its step as it is.
        """
        self.name, self.seed, self.framing, self.size, self.frames = f"person-{seed}", seed, framing, size, frames
        self.reconstruct = reconstruct
        self._drawn: list[tuple[Motion, np.ndarray]] = []

    @cached_property
    def clip(self) -> people.Person:
        """As it should be, with frames before and behind the window."""

        def keep(motion: Motion, mouth: np.ndarray) -> tuple[Motion, np.ndarray]:
            self._drawn.append((motion, mouth))
            return motion, mouth

        return self._rendered(keep)

    @cached_property
    def _other(self) -> "RenderedScene":
        return RenderedScene(self.seed + 1, self.framing, self.size, self.frames)

    @property
    def reference(self) -> np.ndarray:
        """`(H, W, 3)`: the clip's last frame, behind the window."""
        picture: np.ndarray = self.clip.frames[-1]
        return picture

    @property
    def real(self) -> np.ndarray:
        """`(T, H, W, 3)` of the window."""
        return self._window(self.clip, 0)

    def video(self, step: Step) -> Video:
        """The window with one damage."""
        asked, clip, shift, heard = truth_of(self.clip, MARGIN, self.frames), self.clip, 0, None
        if step.family in (MOUTH, STILL_MOUTH, ARMS, HEAD, LIDS):
            clip = self._rendered(self._change(step))
        elif step.family in (PERSON, MIDWAY):
            clip = self._person
        elif step.family == LATE:
            shift = -int(step.strength)
        frames, shown = self._window(clip, shift), truth_of(clip, MARGIN + shift, self.frames)
        if step.family == MIDWAY:
            half = self.frames // 2
            frames = np.concatenate([self.real[:half], frames[half:]])
            shown = _joined(asked, shown, half)
        elif step.family == DROPS:
            held = held_frames(step, self.frames)
            frames, shown = frames[held], _held(shown, held)
        elif step.family == RECONSTRUCTION:
            frames = frames if self.reconstruct is None else self.reconstruct(frames)
        elif step.family in PIXELS:
            frames = damage_pixels(step, frames, _hands(asked))
        sound_of, start = self.clip, MARGIN
        if step.family == SOUND_LATE:
            start -= int(step.strength)
        elif step.family == OTHER_SOUND:
            sound_of = self._other.clip
        heard = truth_of(sound_of, start, self.frames)
        first = round(start / people.FPS * RATE)
        sound = np.asarray(sound_of.audio, np.float32)[first : first + round(self.frames / people.FPS * RATE)]
        errors = errors_of_truth(shown, asked, heard, self.size) | errors_of_step(step, self.size)
        if np.isnan(errors["hands"]):
            errors["smeared hands"] = float("nan")
        return Video(frames, sound, heard, errors)

    def _window(self, clip: people.Person, shift: int) -> np.ndarray:
        frames: np.ndarray = clip.frames[MARGIN + shift : MARGIN + shift + self.frames]
        return frames

    @cached_property
    def _person(self) -> people.Person:
        """Another person who does the same."""
        drawn = self._of_the_clip()
        return self._rendered(lambda motion, mouth: drawn, identity=self._other.seed)

    def _of_the_clip(self) -> tuple[Motion, np.ndarray]:
        self.clip  # noqa: B018  # draws it
        return self._drawn[0]

    def _rendered(self, change: Change, identity: int | None = None) -> people.Person:
        length = self.frames + 2 * MARGIN
        return people.render(
            self.seed, frames=length + (1 - length) % 4, size=self.size, framing=self.framing, split="held_out", identity=identity,
            change=change,
        )  # fmt: skip

    def _change(self, step: Step) -> Change:
        if step.family == STILL_MOUTH:
            return lambda motion, mouth: (motion, np.repeat(mouth[MARGIN : MARGIN + 1], len(mouth), axis=0))
        if step.family == MOUTH:
            other, share = self._other._of_the_clip()[1], step.strength
            return lambda motion, mouth: (motion, (1 - share) * mouth + share * other)
        if step.family == ARMS:
            # Outwards, upwards and forwards alike, by so many decimetres in all.
            by = step.strength / np.sqrt(3) * np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
            return lambda motion, mouth: (replace(motion, wrists=motion.wrists + by), mouth)
        if step.family == HEAD:
            turn = np.array([np.radians(step.strength), 0, 0])
            return lambda motion, mouth: (replace(motion, head=motion.head + turn), mouth)
        return lambda motion, mouth: (replace(motion, face=motion.face | _other_lids(motion, self.frames)), mouth)


class FilmedScene:
    """A clip whose truth nobody knows: pixels and time can be damaged, and the order of the damage is known."""

    def __init__(self, name: str, frames: np.ndarray, count: int, other: np.ndarray, sound: np.ndarray | None = None):
        """Take `(T, H, W, 3)` frames of which the last `count` count, those of another person, and the sound of those that count."""
        self.name, self._frames, self.frames, self._other, self._sound = name, frames, count, other, sound

    @property
    def reference(self) -> np.ndarray:
        """The first frame, before those that count."""
        picture: np.ndarray = self._frames[0]
        return picture

    @property
    def real(self) -> np.ndarray:
        """`(T, H, W, 3)` that count."""
        frames: np.ndarray = self._frames[-self.frames :]
        return frames

    def video(self, step: Step) -> Video:
        """The clip with one damage."""
        frames, height = self.real, self._frames.shape[1]
        if step.family == LATE:
            late = len(self._frames) - self.frames - int(step.strength)
            frames = self._frames[late : late + self.frames]
        elif step.family == DROPS:
            frames = frames[held_frames(step, self.frames)]
        elif step.family in (PERSON, MIDWAY):
            other = np.stack([cv2.resize(f, frames.shape[2:0:-1]) for f in self._other[-self.frames :]])
            frames = (
                other
                if step.family == PERSON
                else np.concatenate([frames[: len(frames) // 2], other[len(frames) // 2 :]])
            )
        elif step.family in PIXELS:
            frames = damage_pixels(step, frames)
        return Video(frames, self._sound, None, errors_of_film(step, self.frames, height))


Scene = RenderedScene | FilmedScene


def rendered_scenes(
    seeds: Sequence[int],
    size: int,
    frames: int,
    reconstruct: Reconstruct | None = None,
    framings: Sequence[str] = FRAMINGS,
) -> list[RenderedScene]:
    """A scene of each seed, in the framings in turn; of close, portrait, half and upper the last two may show hands."""
    return [RenderedScene(seed, framings[k % len(framings)], size, frames, reconstruct) for k, seed in enumerate(seeds)]


def truth_of(clip: people.Person, start: int, frames: int) -> PersonTruth:
    """What is true of a rendered clip's frames from `start` on."""
    window, begins = slice(start, start + frames), start / clip.fps
    phones = [(phone.symbol, phone.start - begins, phone.end - begins) for phone in clip.phones]
    return PersonTruth(
        clip.keypoints[window], clip.opening[window], lids_of(clip.units, list(clip.unit_names))[window], phones
    )


def _held(truth: PersonTruth, held: np.ndarray) -> PersonTruth:
    return PersonTruth(truth.keypoints[held], truth.opening[held], truth.lids[held], truth.phones)


def _joined(first: PersonTruth, second: PersonTruth, at: int) -> PersonTruth:
    keypoints, opening, lids = (
        np.concatenate([getattr(first, name)[:at], getattr(second, name)[at:]])
        for name in ("keypoints", "opening", "lids")
    )
    return PersonTruth(keypoints, opening, lids, first.phones)


def _hands(truth: PersonTruth) -> np.ndarray:
    """`(T, 2, 21, 2)`; NaN where a hand is not shown."""
    places = []
    for hand in ONE_HAND:
        points = truth.keypoints[:, hand]
        places.append(np.where(hand_shown(points)[:, None, None], points[..., :2], np.nan))
    return np.stack(places, axis=1)


def _other_lids(motion: Motion, frames: int) -> dict[str, np.ndarray]:
    """Lids that never shut where they did in the window, and that shut once where they did not."""
    lids = motion.face["eyeBlinkLeft"].copy()
    window = slice(MARGIN, MARGIN + frames)
    if (lids[window] > 0.5).any():
        lids[:] = lids.min()
    else:
        middle = MARGIN + frames // 2
        lids[middle : middle + 2] = 1.0
    return {"eyeBlinkLeft": lids, "eyeBlinkRight": lids}
