"""Videos of other sizes and lengths are compared in the one frame that all of them show."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evaluation.baselines import (
    BaselineError,
    FolderVideos,
    Instruments,
    Samples,
    compare_baselines,
    folder_samples,
    puppet_samples,
)
from evaluation.baselines.samples import Sample
from evaluation.baselines.videos import in_one_frame
from evaluation.networks.i3d import I3DFeatures
from tests.evaluation.methods import Detector, RandomConvolution, write


@pytest.fixture(scope="module")
def samples(benchmark_folder):
    return puppet_samples(benchmark_folder)


def test_other_lengths_are_refused_and_fit_cuts_but_never_stretches(tmp_path, samples, benchmark):
    longer = write(tmp_path / "longer", lambda f: np.concatenate([f, f]), benchmark)
    with pytest.raises(BaselineError, match=r"has 34 frames, the sample 17"):
        FolderVideos("m", longer, samples)
    assert FolderVideos("m", longer, samples, fit=True).frames(samples.samples[0]).shape == (17, 64, 64, 3)
    large = write(tmp_path / "large", lambda f: f.repeat(2, axis=1).repeat(2, axis=2), benchmark)
    enlarged = FolderVideos("m", large, samples, fit=True)
    assert in_one_frame(samples, [enlarged]).samples == samples.samples, "nothing is enlarged"
    fitted = enlarged.frames(samples.samples[0])
    assert np.abs(fitted.astype(int) - benchmark.frames[0].numpy()).mean() < 2
    short = write(tmp_path / "short", lambda f: f[:9], benchmark)
    with pytest.raises(BaselineError, match=r"has 9 of 17 frames"):
        FolderVideos("m", short, samples, fit=True)


@pytest.fixture(scope="module")
def widened(tmp_path_factory, benchmark):
    """The puppets in the middle of wider pictures, as real clips are wider than what a model makes of them."""

    def wider(frames):
        sides = np.random.default_rng(0).integers(0, 256, (1, 8, 2, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
        sides = np.broadcast_to(sides, (len(frames), 64, 16, 3))
        return np.concatenate([sides, frames, sides], axis=2)

    root = tmp_path_factory.mktemp("wide")
    write(root / "real", wider, benchmark)
    write(root / "made", lambda f: f, benchmark)
    write(root / "large", lambda f: wider(f).repeat(2, axis=1).repeat(2, axis=2), benchmark)
    return root


def test_what_a_method_cut_off_counts_for_nobody_and_a_perfect_one_is_at_the_ceiling(widened, tmp_path):
    torch.manual_seed(0)
    torch.jit.script(RandomConvolution()).save(str(tmp_path / "i3d.pt"))
    real = folder_samples(widened / "real", 4)
    with pytest.raises(BaselineError, match="is 64 x 64, the sample 96 x 64"):
        FolderVideos("made", widened / "made", real)
    instruments = Instruments(keypoints=Detector(), i3d=I3DFeatures(tmp_path / "i3d.pt"))
    methods = [FolderVideos(name, widened / name, real, fit=True) for name in ("made", "large")]
    found = compare_baselines(methods, real, instruments, tmp_path / "out", resamples=2)
    assert {(sample.height, sample.width) for sample in found.samples.samples} == {(64, 64)}
    for name in ("made", "large"):
        assert found.scores[name]["akd"].value < 0.5
        assert found.scores[name]["missing_keypoints"].value < 0.01
        blur = found.verdicts["fvd"].order["blur"]
        assert found.scores[name]["fvd"].value < 0.2 * blur


def test_one_frame_is_the_part_that_all_show_at_the_size_of_the_smallest():
    def one_frame(*sizes):
        samples = Samples("s", (Sample("a", Path("a.mp4"), 8, 25.0, 360, 640, False),), "0" * 64)
        methods = [SimpleNamespace(size=lambda sample, size=size: size) for size in sizes]
        (found,) = in_one_frame(samples, methods).samples
        return found.height, found.width

    assert one_frame() == one_frame((720, 1280)) == (360, 640)
    assert one_frame((480, 480)) == (360, 360) and one_frame((256, 256)) == (256, 256)
    assert one_frame((256, 256), (180, 320)) == (180, 180), "the wide one shows more than is compared, and is smaller"
    assert one_frame((832, 480)) == (360, 208) and one_frame((480, 832)) == (360, 624)
    assert one_frame((100, 100), (100, 200)) == (89, 100), "one cut the sides off, the other above and below"
