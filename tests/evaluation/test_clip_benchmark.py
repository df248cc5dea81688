"""A frozen set of clips as a benchmark: what can drive a video of each sample, and what networks say of it beside the truth."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

import puppets
from assets.kinds.judging.judges import DetectorJudge
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import Training
from evaluation.benchmark.benchmark import BenchmarkError
from evaluation.benchmark.benchmark_plan import (
    AUDIO,
    POSE,
    POSE_ALONE,
    SECOND_SEED,
    SHUFFLED_AUDIO,
    SHUFFLED_POSE,
    STUDENT,
    ModelPlan,
    generation_plan,
)
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.generate import GenerationError, Share, generate_videos, reconstruct
from evaluation.benchmark.generated import open_generated
from evaluation.kept_records import KeptRecords
from evaluation.metrics.observation.instruments import Instruments
from evaluation.scoring.score import join_tables, measure_benchmark, score_benchmark
from evaluation.scoring.tables import Tables
from media import encode_clip
from media.frozen_set import FrozenSetError
from profiles import load_profile
from profiles.schema import EvaluationConfig

NOBODY = Training(pd.DataFrame(columns=["clip_id"]), "all ingested clips")
CONFIG = EvaluationConfig(clips=4, batch_size=2, bootstrap=20)
NAME = "test_set:few"


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory) -> ClipBenchmark:
    """Four puppets, whose keypoints a detector reads; one is silent."""
    root = tmp_path_factory.mktemp("few")
    (root / "local").mkdir()
    for seed in range(4):
        puppet = puppets.render(seed, "clean", 33)
        (root / "local" / f"{seed}.mp4").write_bytes(
            encode_clip(puppet.frames, puppet.fps, puppet.audio if seed else None)
        )
    video = load_profile("laptop", []).video
    build_test_set(root / "local", root / "set", "folder", video, NOBODY, puppets.PuppetKeypoints())
    return ClipBenchmark(root / "set", NAME)


class Echo:
    """Gives back the clip whose reference it is shown, with as much noise as it is told; remembers what it was given."""

    def __init__(self, benchmark: ClipBenchmark, noise: float = 0.0):
        self.samples = [benchmark.sample(clip) for clip in range(len(benchmark))]
        self.noise, self.calls = noise, []
        self.scheduler, self.transformer = FlowMatchEulerDiscreteScheduler(), torch.nn.Identity()
        self.vae = SimpleNamespace(decode=lambda frames: frames)

    def __call__(self, **inputs):
        self.calls.append(inputs)
        shown = [next(s for s in self.samples if torch.equal(s.reference, image)) for image in inputs["image"]]
        frames = torch.stack([sample.frames for sample in shown]).float()
        extra = torch.stack([torch.randn(frames.shape[1:], generator=g) for g in inputs["generator"]])
        made = self.vae.decode(self.transformer(frames) + self.noise * extra)
        return SimpleNamespace(frames=made.round().clamp(0, 255).to(torch.uint8))


def silent(benchmark: ClipBenchmark) -> int:
    return next(clip for clip in range(len(benchmark)) if not benchmark.heard(clip))


def test_a_silent_sample_is_asked_of_pose_alone_and_reconstruction(benchmark, tmp_path):
    every, quiet = tuple(range(4)), silent(benchmark)
    heard = tuple(clip for clip in every if clip != quiet)
    assert (
        benchmark.driven_by(AUDIO) == benchmark.driven_by(SECOND_SEED) == benchmark.driven_by(SHUFFLED_AUDIO) == heard
    )
    assert benchmark.driven_by(POSE) == every
    echo = Echo(benchmark)
    for mode in (AUDIO, POSE, SHUFFLED_AUDIO):
        generate_videos(echo, benchmark, tmp_path / "m" / mode, mode, None, CONFIG, weights="w")
    names = {mode: open_generated(tmp_path / "m" / mode, benchmark).names for mode in (AUDIO, POSE)}
    assert names[AUDIO] == tuple(benchmark.names[clip] for clip in heard) and names[POSE] == benchmark.names
    posed = [call for call in echo.calls if call["pose"] is not None]
    assert sum(len(call["image"]) for call in posed) == 4 and any(call["audio"] is None for call in posed)
    with pytest.raises(GenerationError, match="holds no video of"):
        open_generated(tmp_path / "m" / AUDIO, benchmark).frames(benchmark.names[quiet])


def test_a_set_without_sound_has_no_mode_of_sound_in_its_plan(benchmark):
    mute = SimpleNamespace(driven_by=lambda mode: (0, 1) if mode == POSE else ())
    assert {mode for model in generation_plan(CONFIG, mute) for mode in model.modes} == {POSE}
    assert {mode for model in generation_plan(CONFIG, benchmark) for mode in model.modes} == {
        AUDIO,
        POSE,
        SHUFFLED_AUDIO,
        SECOND_SEED,
        POSE_ALONE,
        SHUFFLED_POSE,
    }


def test_a_pose_alone_brings_no_sound_and_a_shuffled_one_is_the_next_clips(benchmark, tmp_path):
    samples = [benchmark.sample(clip) for clip in range(4)]
    for mode, given in ((POSE_ALONE, [0, 1, 2, 3]), (SHUFFLED_POSE, [1, 2, 3, 0])):
        echo = Echo(benchmark)
        generate_videos(echo, benchmark, tmp_path / "m" / mode, mode, None, CONFIG, weights="w")
        posed = {}
        for call in echo.calls:
            assert (call["audio"] is None) or mode == SHUFFLED_POSE
            for image, pose in zip(call["image"], call["pose"], strict=True):
                posed[next(n for n, s in enumerate(samples) if torch.equal(s.reference, image))] = pose
        assert all(torch.equal(posed[clip], samples[other].keypoints) for clip, other in enumerate(given)), mode


@pytest.fixture(scope="module")
def tables(benchmark, tmp_path_factory) -> Tables:
    root = tmp_path_factory.mktemp("videos")
    plan = [
        ModelPlan(STUDENT, "student", (AUDIO, POSE), None),
        ModelPlan("teacher", "noisy", (AUDIO, POSE, SECOND_SEED), None),
    ]
    for model in plan:
        for mode in model.modes:
            echo = Echo(benchmark, 0.0 if model.name == STUDENT else 25.0)
            generate_videos(echo, benchmark, root / model.name / mode, mode, None, CONFIG, weights="w")
    autoencoder = puppet_autoencoder()
    reconstruct(autoencoder, benchmark, root / "reconstruction" / "pixels", 2)
    seen = Instruments(keypoints=DetectorJudge(puppets.PuppetKeypoints()))
    score_benchmark(root, benchmark, root / "scores", CONFIG, plan=plan, instruments=seen)
    return join_tables([root / "scores"], root / "joined")


def puppet_autoencoder():
    from omnihuman.autoencoder import load_autoencoder
    from profiles import resolve_source

    return load_autoencoder(resolve_source(load_profile("laptop", []).encoders.autoencoder))


def value(tables: Tables, model: str, mode: str, metric: str) -> float:
    rows = tables.scores.set_index(["model", "mode", "metric"])["value"]
    return float(rows[model, mode, metric])


def test_who_makes_the_true_clip_reads_as_the_true_clip_and_noise_is_noticed(tables):
    assert value(tables, STUDENT, POSE, "akd") == value(tables, "ground_truth", "pixels", "akd") == 0.0
    assert value(tables, STUDENT, POSE, "flicker") == value(tables, "ground_truth", "pixels", "flicker")
    assert value(tables, "teacher", POSE, "flicker") > 2 * value(tables, STUDENT, POSE, "flicker")
    assert value(tables, "teacher", SECOND_SEED, "pixel_diversity") > 0.02
    rows = tables.scores[tables.scores["mode"].isin([AUDIO, POSE])].groupby(["mode"])["clips"].max()
    assert rows.to_dict() == {AUDIO: 3, POSE: 4} and set(tables.scores["benchmark"]) == {NAME}
    assert (tables.scores[tables.scores["metric"] == "akd"]["network"].str.startswith("puppet-colours ")).all()


def test_what_was_not_measured_says_why_and_puppets_truth_is_not_asked_for(tables):
    absent = tables.unmeasured.set_index("metric")
    assert "evaluation.networks.syncnet" in absent.loc["sync_c", "remedy"] and "weights" in absent.loc["fid", "reason"]
    assert not {"mouth_correlation", "colour_error", "akd", "flicker", "pixel_diversity"} & set(absent.index)


def test_known_damage_tells_which_metrics_may_gate(tables):
    fit = tables.fitness.set_index("metric")
    assert fit.loc["akd", "usable"] and fit.loc["akd", "ceiling"] == 0.0 and fit.loc["akd", "floor"] > 1.0
    assert not fit.loc["hkc", "usable"] and "more blur" in fit.loc["hkc", "reason"], (
        "hands of puppets have no confidence"
    )


def test_slices_are_halves_by_what_was_measured_when_the_set_was_frozen(tables, benchmark):
    slices = tables.slices[(tables.slices["metric"] == "flicker") & (tables.slices["mode"] == POSE)]
    assert {"faces: dark", "faces: light", "mouth: slow", "mouth: fast"} <= set(slices["slice"])
    slices = slices[slices["slice"].str.startswith("sound: ")]
    assert sorted(slices["clips"]) == [1, 2], "the silent one is in neither half"
    each = tables.samples[
        (tables.samples["model"] == STUDENT)
        & (tables.samples["metric"] == "flicker")
        & (tables.samples["mode"] == POSE)
    ]
    heard = each[each["clip"] != benchmark.names[silent(benchmark)]]["value"].mean()
    assert np.average(slices["value"], weights=slices["clips"]) == pytest.approx(heard)


def test_each_clip_has_its_number(tables, benchmark):
    own = tables.samples[
        (tables.samples["model"] == "teacher")
        & (tables.samples["metric"] == "flicker")
        & (tables.samples["mode"] == POSE)
    ]
    assert set(own["clip"]) == set(benchmark.names) and own["value"].mean() == pytest.approx(
        value(tables, "teacher", POSE, "flicker")
    )


def test_a_set_that_changed_since_it_was_frozen_and_one_that_is_not_there_are_named(benchmark, tmp_path):
    import shutil

    shutil.copytree(benchmark.path, tmp_path / "set")
    assert ClipBenchmark(tmp_path / "set", NAME).digest == benchmark.digest
    clip = next((tmp_path / "set" / "clips").glob("*.mp4"))
    clip.write_bytes(clip.read_bytes()[:-1])
    with pytest.raises(FrozenSetError, match=clip.name):
        ClipBenchmark(tmp_path / "set", NAME)
    with pytest.raises(BenchmarkError, match="python -m assets benchmark_sets"):
        ClipBenchmark(tmp_path / "nowhere", NAME)


class CountedDetector(puppets.PuppetKeypoints):
    """Reads keypoints, and is killed at a given look."""

    looks, killed_at = 0, -1

    def __call__(self, frames):
        self.looks += 1
        if self.looks == self.killed_at:
            raise KeyboardInterrupt
        return super().__call__(frames)


def test_clips_that_two_measured_and_a_kill_interrupted_are_the_scores_of_one(benchmark, tmp_path):
    plan = [ModelPlan(STUDENT, "student", (AUDIO, SECOND_SEED), None)]
    for mode in plan[0].modes:
        folder = tmp_path / STUDENT / mode
        generate_videos(Echo(benchmark, 3.0), benchmark, folder, mode, None, CONFIG, weights="w")
    reconstruct(puppet_autoencoder(), benchmark, tmp_path / "reconstruction" / "pixels", 2)

    def looked_at(detector):
        return {"instruments": Instruments(keypoints=DetectorJudge(detector)), "plan": plan}

    score_benchmark(tmp_path, benchmark, tmp_path / "alone", CONFIG, **looked_at(CountedDetector()))
    kept, first, detector = KeptRecords(tmp_path / "kept"), CountedDetector(), CountedDetector()
    measure_benchmark(tmp_path, benchmark, CONFIG, kept, Share(0, 2), **looked_at(first))
    detector.killed_at = 12
    with pytest.raises(KeyboardInterrupt):
        measure_benchmark(tmp_path, benchmark, CONFIG, kept, Share(1, 2), **looked_at(detector))
    stood = {file: file.stat().st_mtime_ns for file in kept.folder.rglob("*.safetensors")}
    again = CountedDetector()
    score_benchmark(tmp_path, benchmark, tmp_path / "shared", CONFIG, kept=kept, **looked_at(again))
    assert 0 < again.looks < first.looks, "only what the killed one had left was looked at"
    assert all(file.stat().st_mtime_ns == when for file, when in stood.items())
    one, other = (Tables.read(tmp_path / name) for name in ("alone", "shared"))
    for table in ("scores", "slices", "samples", "fitness", "unmeasured"):
        assert getattr(one, table).equals(getattr(other, table)) and len(getattr(one, table)), table
