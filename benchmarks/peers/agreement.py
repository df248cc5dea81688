"""Whether both sides found the same, in words for a table."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Found = Mapping[str, Any]
Agreement = Callable[[Found, Found], str]


def correlations(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Pearson's and Spearman's r; NaN where one side does not vary."""
    first, second = np.asarray(ours, float), np.asarray(theirs, float)
    return _pearson(first, second), _pearson(_ranks(first), _ranks(second))


def _pearson(first: np.ndarray, second: np.ndarray) -> float:
    spread = first.std() * second.std()
    return float(((first - first.mean()) * (second - second.mean())).mean() / spread) if spread > 0 else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    """Equal values share the mean of their ranks."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def motion_agreement(ours: Found, theirs: Found) -> str:
    """Of two motion scores, whose units may differ."""
    pearson, spearman = correlations(*([side[clip]["motion"] for clip in ours] for side in (ours, theirs)))
    return f"motion of {len(ours)} clips: r {pearson:.3f}, of ranks {spearman:.3f}"


def face_agreement(ours: Found, theirs: Found) -> str:
    """In how many clips both, or neither, see a face in half of what they look at."""
    same = [(ours[clip]["person_share"] >= 0.5) == (theirs[clip]["person_share"] >= 0.5) for clip in ours]
    counts = [sum(side[clip]["person_share"] >= 0.5 for clip in ours) for side in (ours, theirs)]
    return f"{sum(same)} of {len(same)} clips alike; with a face: {counts[0]} by us, {counts[1]} by the peer"


def five_agreement(ours: Found, theirs: Found) -> str:
    """Motion and faces as above, equal sizes, and the greatest difference of lengths."""
    sizes = sum(all(ours[clip][side] == theirs[clip][side] for side in ("width", "height")) for clip in ours)
    apart = max(abs(ours[clip]["seconds"] - theirs[clip]["seconds"]) for clip in ours)
    both = f"{motion_agreement(ours, theirs)}; faces: {face_agreement(ours, theirs)}"
    return f"{both}; {sizes} of {len(ours)} sizes equal; lengths within {apart:.3f} s"


def columns_agreement(ours: Found, theirs: Found) -> str:
    """How many numbers a clip gets on each side."""
    return f"{max(ours[clip]['columns'] for clip in ours)} columns by us, {max(len(theirs[c]) for c in theirs)} by the peer"


def matched(found: Sequence[int], true: Sequence[int], tolerance: int = 1) -> int:
    """How many of the true cuts have a found one within `tolerance` frames; each found cut serves one."""
    left, hits = sorted(found), 0
    for cut in sorted(true):
        near = next((place for place in left if abs(place - cut) <= tolerance), None)
        if near is not None:
            left.remove(near)
            hits += 1
    return hits


def cut_agreement(true: Mapping[str, Sequence[int]]) -> Agreement:
    """Of true cuts how many each side found, and what it found beside them."""

    def compare(ours: Found, theirs: Found) -> str:
        total, words = sum(map(len, true.values())), []
        for name, side in (("we", ours), ("peer", theirs)):
            hits = sum(matched(side[film], cuts) for film, cuts in true.items())
            words.append(f"{name} {hits} and {sum(len(side[film]) for film in true) - hits} that are none")
        return f"of {total} cuts {', '.join(words)}"

    return compare


def relative_agreement(key: str) -> Agreement:
    """The difference of one number, relative to the peer's."""
    return lambda ours, theirs: (
        f"{ours[key]:.6g} and {theirs[key]:.6g}, relative difference {abs(ours[key] / theirs[key] - 1):.1e}"
    )


def greatest_difference(key: str) -> Agreement:
    """Of two arrays, beside the size of what is compared."""

    def compare(ours: Found, theirs: Found) -> str:
        first, second = np.asarray(ours[key]), np.asarray(theirs[key])
        if first.shape != second.shape:
            return f"{key}: shapes {first.shape} and {second.shape}"
        return f"{key} within {np.abs(first - second).max():.1e} (deviation {second.std():.2g})"

    return compare
