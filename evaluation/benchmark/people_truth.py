"""The truth of rendered people, as it lies beside a frozen set of them: `truth/ID.json` (`assets.kinds.judging.rendered_people` writes it)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.benchmark.benchmark import BenchmarkError
from evaluation.metrics.person_truth import PersonTruth
from media import sha256_of_file
from media.frozen_set import FrozenSample, FrozenSet

HASHES = "truth_sha256"  # of the set's record: sample to hash; sets of anybody else have none


def truth_file(folder: Path, sample_id: str) -> Path:
    """Where a sample's truth lies."""
    return folder / "truth" / f"{sample_id}.json"


def knows_truth(frozen: FrozenSet) -> bool:
    """Whether the truth of a set's samples is known."""
    return HASHES in frozen.record.values


def read_truth(frozen: FrozenSet, sample: FrozenSample) -> dict[str, Any]:
    """What is true of a sample: lists of `window_frames`, the clip's own values, and `phones` (symbol, start, end in s).

    Raises:
        BenchmarkError: the file is missing or not the frozen one.
    """
    path = truth_file(frozen.path, sample.sample_id)
    if not path.is_file() or sha256_of_file(path) != frozen.record.require(HASHES)[sample.sample_id]:
        raise BenchmarkError(
            f"{path} is missing or not the frozen file; delete {frozen.path} and make benchmark_sets again"
        )
    truth: dict[str, Any] = json.loads(path.read_text())
    return truth


def person_truth(frozen: FrozenSet, sample: FrozenSample) -> PersonTruth:
    """The same as metrics take it.

    Raises:
        BenchmarkError: as `read_truth`, or the set's keypoints are gone.
    """
    told, keypoints = read_truth(frozen, sample), frozen.keypoints(sample)
    if keypoints is None:
        raise BenchmarkError(f"sample {sample.sample_id} of {frozen.path} has no keypoints; make benchmark_sets again")
    return PersonTruth(
        keypoints,
        np.asarray(told["mouth_opening"]),
        lids_of(np.asarray(told["units"]), told["unit_names"]),
        [(symbol, start, end) for symbol, start, end in told["phones"]],
    )


def lids_of(units: np.ndarray, names: list[str]) -> np.ndarray:
    """`(T,)` how far the lids are shut, of `(T, U)` face units."""
    lids: np.ndarray = units[:, [names.index(f"eyeBlink{side}") for side in ("Left", "Right")]].mean(axis=1)
    return lids
