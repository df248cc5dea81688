"""A perceptual hash of a film: equal content gives nearly equal bits, whatever its size, rate and compression.

Half of the bits are the appearance (DCT hash of the mean picture), half the motion (signs of a three-dimensional DCT,
after Coskun, Sankur and Memon, "Spatio-temporal transform based video hashing", IEEE TMM 8(6), 2006): two takes of one
person in one place look alike and move differently, a copy does both alike.
"""

import cv2
import numpy as np

BYTES = 16
SIDE = 32  # pixels of the grey pictures
MOMENTS = 16  # equal parts of the film, each averaged
APPEARANCE_BITS = 64  # the rest is of motion
# Grey levels times the DCT's gain: what compression alone does stays below.
MOTION_FLOOR = 6.0
KEPT = 4096  # small pictures; of a longer film every second one is dropped, again and again


class Thumbnails:
    """Small grey pictures of a film with their times. Memory is bounded: of a long film fewer are kept."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._pictures: list[np.ndarray] = []
        self._every, self._seen = 1, 0

    def look(self, time: float, picture: np.ndarray) -> None:
        """One frame: seconds from the first, and `(H, W, 3)` uint8 RGB."""
        if self._seen % self._every == 0:
            if len(self._times) == KEPT:
                self._times, self._pictures = self._times[::2], self._pictures[::2]
                self._every *= 2
            if self._seen % self._every == 0:
                grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
                self._times.append(time)
                self._pictures.append(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
        self._seen += 1

    def between(self, start: float, end: float) -> np.ndarray:
        """`(16, 32, 32)` float32: the mean picture of each sixteenth of the range; one without a picture takes the one
        that is shown then."""
        times, edges = np.asarray(self._times), np.linspace(start, end, MOMENTS + 1)
        moments = np.empty((MOMENTS, SIDE, SIDE), np.float32)
        for place, (begin, stop) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            first, last = np.searchsorted(times, [begin, stop])
            if first == last:
                first = max(0, int(first) - 1)
                last = first + 1
            moments[place] = np.mean(self._pictures[first:last], axis=0)
        return moments


def video_hash(moments: np.ndarray) -> bytes:
    """16 bytes of `(16, 32, 32)` grey pictures: 64 bits of appearance, then 64 of motion."""
    from scipy.fft import dctn  # a fifth of what a command imports that asks of no film

    still, moving = moments.mean(axis=0), moments - moments.mean(axis=0)
    appearance, motion = _appearance(dctn(still, norm="ortho")), _motion(dctn(moving, norm="ortho"))
    return np.packbits(np.concatenate([appearance, motion])).tobytes()


def _appearance(coefficients: np.ndarray) -> np.ndarray:
    """The 64 lowest frequencies of the mean picture but its mean, in zigzag order, against their median."""
    rows, columns = np.indices(coefficients.shape)
    order = np.lexsort((rows.ravel(), (rows + columns).ravel()))[1 : APPEARANCE_BITS + 1]
    lowest = coefficients.ravel()[order]
    return lowest > np.median(lowest)


def _motion(coefficients: np.ndarray) -> np.ndarray:
    """Temporal frequencies 1 to 4 of the 4 x 4 lowest spatial ones: above what noise does, or not."""
    return coefficients[1:5, :4, :4].ravel() > MOTION_FLOOR
