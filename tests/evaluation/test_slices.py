"""Slices halve the benchmark by what is true of its clips."""

import numpy as np

from evaluation.benchmark.puppet_benchmark import build_puppets
from evaluation.scoring.score_slices import LUMA, SKIN, benchmark_slices
from profiles import load_profile


def test_each_pair_of_slices_halves_the_benchmark_by_its_truth(tmp_path):
    profile = load_profile("laptop", ["evaluation.clips=7"])
    benchmark = build_puppets(tmp_path / "b", profile.evaluation, profile.video)
    slices = benchmark_slices(benchmark)
    assert list(slices) == ["skin: dark", "skin: light", "arms: slow", "arms: fast", "speech: little", "speech: much"]
    for low, high in zip(list(slices)[::2], list(slices)[1::2], strict=True):
        assert (slices[low] ^ slices[high]).all() and slices[low].sum() == 3
    skin = benchmark.colours.numpy()[:, SKIN] @ LUMA
    assert skin[slices["skin: dark"]].max() <= skin[slices["skin: light"]].min()
    speech = benchmark.opening.numpy().mean(axis=1)
    assert speech[slices["speech: little"]].max() <= speech[slices["speech: much"]].min()
    assert np.isfinite(skin).all()
