"""`omnihuman compare --baseline NAME=FOLDER`."""

import numpy as np
import pandas as pd
import pytest
import torch

import puppets
from assets.core.workspace import Workspace
from assets.kinds import detectors
from assets.kinds.judging.judges import SyncNetJudge
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import Training
from evaluation.baselines.own_models import frozen_samples
from evaluation.benchmark.benchmark_plan import AUDIO, STUDENT
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.generate import generate_videos
from evaluation.benchmark.puppet_benchmark import build_puppets
from evaluation.metrics import Network
from media import encode_clip
from networks.weights import NetworkError
from orchestration.commands.comparing import NetworkPaths, compare_folders, named_folder
from profiles import load_profile
from profiles.schema import EvaluationConfig
from tests.evaluation.test_clip_benchmark import Echo


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    profile = load_profile("laptop", [])
    workspace = Workspace(tmp_path_factory.mktemp("home"), profile)
    build_puppets(workspace.of_benchmark("benchmark_sets"), EvaluationConfig(clips=4), profile.video)
    return workspace


@pytest.fixture(scope="module")
def baseline(workspace, tmp_path_factory):
    """The real windows as another method's videos, a little darker."""
    from evaluation.benchmark.puppet_benchmark import load_puppets

    benchmark, folder = load_puppets(workspace.of_benchmark("benchmark_sets")), tmp_path_factory.mktemp("darker")
    for name, frames, sound in zip(benchmark.names, benchmark.frames.numpy(), benchmark.audio.numpy(), strict=True):
        (folder / f"{name}.mp4").write_bytes(encode_clip((frames * 0.9).astype(np.uint8), benchmark.fps, sound))
    return folder


def test_a_folder_is_compared_on_the_puppet_benchmark(workspace, baseline):
    out = compare_folders(workspace, [f"Darker={baseline}"], None, NetworkPaths(), resamples=10)
    page = (out / "comparison.md").read_text()
    assert out == workspace.var / "comparisons" / "puppets" and "| Darker |" in page and "mouth r↑" in page
    assert "Methods on 4 samples of puppets" in page


def test_a_folder_of_real_clips_takes_the_benchmarks_place_and_knows_no_puppet_truth(
    workspace, baseline, tmp_path, monkeypatch
):
    hidden = []
    monkeypatch.setattr(
        detectors, "face_hider", lambda profile: lambda picture: hidden.append(picture.shape) or picture
    )
    out = compare_folders(workspace, [f"A={baseline}"], baseline, NetworkPaths(), resamples=10, output=tmp_path / "out")
    page = (out / "comparison.md").read_text()
    scored, unmeasured = page.split("## Not measured")
    assert "mouth r↑" not in scored and "AKD↓" in scored and "| mouth r↑ | the samples are no puppets" in unmeasured
    assert "HKC" in page and (out / "scores.parquet").is_file()
    assert hidden and set(hidden) == {(64, 64, 3)}, "faces of real clips are hidden where reports.blur_faces says so"


def test_on_a_benchmark_of_clips_our_own_models_stand_beside_the_folder_and_are_held_to_the_picture_they_were_given(
    tmp_path,
):
    """The student returns the clips themselves; the other method is darker, and leaves out the sample that is silent as the student does."""
    name = "test_set:few"
    profile = load_profile("laptop", [f"evaluation.benchmarks=['{name}']", "evaluation.clips=3"])
    home = Workspace(tmp_path / "home", profile)
    (tmp_path / "local").mkdir()
    for seed in range(3):
        puppet = puppets.render(seed, "clean", 33)
        sound = puppet.audio if seed else None
        (tmp_path / "local" / f"{seed}.mp4").write_bytes(encode_clip(puppet.frames, puppet.fps, sound))
    folder = home.of_benchmark("benchmark_sets", name)
    nobody = Training(pd.DataFrame(columns=["clip_id"]), "nothing")
    build_test_set(tmp_path / "local", folder, "folder", profile.video, nobody, puppets.PuppetKeypoints())
    benchmark = ClipBenchmark(folder, name)
    student = home.of_benchmark("generated_videos", name) / STUDENT / AUDIO
    generate_videos(Echo(benchmark), benchmark, student, AUDIO, None, profile.evaluation, weights="w")
    (tmp_path / "dark").mkdir()
    for clip in benchmark.driven_by(AUDIO):
        sample = benchmark.sample(clip)
        darker = (sample.frames.numpy() * 0.5).astype(np.uint8)
        (tmp_path / "dark" / f"{sample.name}.mp4").write_bytes(encode_clip(darker, benchmark.fps, sample.audio.numpy()))
    asked = [f"Dark={tmp_path / 'dark'}"]
    out = compare_folders(home, asked, None, NetworkPaths(), benchmark=name, resamples=10)
    assert out == home.var / "comparisons" / "test_set-few"
    page = (out / "comparison.md").read_text()
    assert "Methods on 2 samples of test_set:few" in page and "shape of Table 1" in page and "shape of Table 2" in page
    table = pd.read_parquet(out / "scores.parquet").set_index(["method", "metric"])["value"]
    truth, own = "ground truth (ceiling)", "distilled student, 1 step"
    assert table[own, "psnr"] == table[truth, "psnr"] == float("inf") and table["Dark", "psnr"] < 20
    assert table[own, "flicker"] == table[truth, "flicker"]
    samples = frozen_samples(benchmark, range(3))
    given = benchmark.sample(1).reference.numpy()
    assert "reference" in samples.has and np.array_equal(samples.samples[1].reference(), given)
    with pytest.raises(ValueError, match="give one of them"):
        compare_folders(home, asked, tmp_path / "dark", NetworkPaths(), benchmark=name)


def test_what_is_no_baseline_or_no_network_is_said(workspace, baseline, tmp_path):
    for text in ("folder", "=folder", "name="):
        with pytest.raises(ValueError, match="NAME=FOLDER"):
            named_folder(text)
    with pytest.raises(NetworkError, match=r"no file .*none\.pth"):
        compare_folders(workspace, [f"A={baseline}"], None, NetworkPaths(inception=tmp_path / "none.pth"))
    with pytest.raises(ValueError, match="leave --keypoints on"):
        compare_folders(workspace, [f"A={baseline}"], None, NetworkPaths(syncnet=tmp_path / "none"), keypoints=False)


class FixedFace:
    """A detector that sees a face of 68 points in the middle of every frame."""

    network = Network("fixed", "1", "test")

    def __call__(self, frames):
        points = np.zeros((len(frames), 133, 3), np.float32)
        angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
        middle, radius = frames.shape[1] / 2, frames.shape[1] / 5
        points[:, 23:91, 0], points[:, 23:91, 1] = middle + radius * np.cos(angle), middle + radius * np.sin(angle)
        points[:, 23:91, 2] = 0.9
        return points


class NoFace(FixedFace):
    def __call__(self, frames):
        return np.zeros((len(frames), 133, 3), np.float32)


def test_curations_syncnet_judges_a_video_and_names_its_weights(tmp_path):
    from curation.scores.person.syncnet.network import SyncNet

    torch.manual_seed(0)
    torch.save(SyncNet().state_dict(), tmp_path / "syncnet_v2.model")
    judge = SyncNetJudge(tmp_path / "syncnet_v2.model", FixedFace())
    rng = np.random.default_rng(0)
    frames, sound = rng.integers(0, 256, (14, 64, 64, 3), np.uint8), rng.normal(0, 0.1, 14 * 640).astype(np.float32)
    found = judge(encode_clip(frames, 25.0, sound))
    assert found is not None and found.distance > 0 and found.confidence >= 0 and abs(found.offset) <= 15
    assert judge.network.architecture == "syncnet-v2" and len(judge.network.sha256) == 64
    assert judge(encode_clip(frames, 25.0)) is None, "without sound"
    assert judge(encode_clip(frames[:5], 25.0, sound)) is None, "too short"
    assert SyncNetJudge(tmp_path / "syncnet_v2.model", NoFace())(encode_clip(frames, 25.0, sound)) is None
    (tmp_path / "other.model").write_bytes(b"no weights")
    with pytest.raises(NetworkError, match=r"other\.model does not hold syncnet-v2"):
        SyncNetJudge(tmp_path / "other.model", FixedFace())
