"""The benchmark is held out, complete, and the same every time."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from evaluation.benchmark.puppet_benchmark import BenchmarkError, build_puppets, load_puppets
from media import decode_clip
from puppets import render


def test_shapes_and_types(benchmark):
    n = len(benchmark)
    assert n == 8 and len(set(benchmark.names)) == n
    assert benchmark.frames.shape == (n, 17, 64, 64, 3) and benchmark.frames.dtype == torch.uint8
    assert benchmark.reference.shape == (n, 64, 64, 3) and benchmark.reference.dtype == torch.uint8
    assert benchmark.audio.shape == (n, 17_000) and benchmark.audio.dtype == torch.float32
    assert benchmark.keypoints.shape == (n, 17, 133, 3)
    assert benchmark.opening.shape == (n, 17) and benchmark.joints.shape == (n, 17, 4, 2)
    assert benchmark.colours.shape == (n, 4, 3) and (benchmark.fps, benchmark.sample_rate) == (16.0, 16_000)


def test_truth_is_the_puppets_own_and_the_reference_lies_outside_the_window(benchmark, config):
    puppet = render(config.seed + 3)
    np.testing.assert_allclose(benchmark.opening[3], puppet.opening[:17], atol=1e-6)
    np.testing.assert_allclose(benchmark.joints[3], puppet.joints[:17], atol=1e-5)
    assert benchmark.captions[3] == puppet.caption
    assert np.abs(benchmark.reference[3].numpy().astype(float) - puppet.frames[24]).mean() < 2.0
    assert np.abs(benchmark.keypoints[3, :, [7, 9, 8, 10], :2].numpy() - puppet.joints[:17]).max() < 1.0


def test_clips_on_disk_are_playable_and_have_sidecars(tmp_path, config, video):
    small = config.model_copy(update={"clips": 2})
    build_puppets(tmp_path / "b", small, video)
    manifest = pd.read_parquet(tmp_path / "b" / "manifest.parquet")
    assert list(manifest["seed"]) == [config.seed, config.seed + 1]
    for clip in manifest["clip"]:
        decoded = decode_clip(tmp_path / "b" / clip, 16.0)
        assert len(decoded.frames) == 25 and decoded.audio is not None
        assert (tmp_path / "b" / clip).with_suffix(".json").is_file()


def test_building_again_gives_the_same_digest_and_leaves_nothing_else(tmp_path, config, video):
    small = config.model_copy(update={"clips": 2})
    first = build_puppets(tmp_path / "b", small, video)
    second = build_puppets(tmp_path / "b", small, video)
    other = build_puppets(tmp_path / "c", small.model_copy(update={"seed": config.seed + 1}), video)
    assert first.digest == second.digest != other.digest
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b", "c"]


def test_seeds_that_were_trained_on_are_refused(tmp_path, config, video):
    with pytest.raises(BenchmarkError, match="overlap training seeds"):
        build_puppets(tmp_path / "b", config, video, [range(1, 1400), range(config.seed + 7, config.seed + 20)])
    assert not (tmp_path / "b").exists()
    build_puppets(
        tmp_path / "b", config.model_copy(update={"clips": 1}), video, [range(config.seed + 1, config.seed + 9)]
    )


def test_a_bucket_that_puppets_do_not_fit_is_refused(tmp_path, config, video):
    with pytest.raises(BenchmarkError, match="laptop"):
        build_puppets(tmp_path / "b", config, video.model_copy(update={"height": 480}))
    with pytest.raises(BenchmarkError, match="reference_gap"):
        build_puppets(tmp_path / "b", config, video.model_copy(update={"reference_gap": 12}))


def test_a_missing_benchmark_names_the_file_and_the_command(tmp_path):
    with pytest.raises(BenchmarkError, match=r"manifest\.parquet.*python -m assets benchmark_sets"):
        load_puppets(tmp_path)


def test_it_cannot_be_changed(benchmark):
    with pytest.raises(dataclasses.FrozenInstanceError):
        benchmark.fps = 25.0
