"""`omnihuman compare --baseline NAME=FOLDER`."""

import numpy as np
import pytest
import torch

from assets.core.workspace import Workspace
from assets.kinds import detectors
from assets.kinds.judging.judges import SyncNetJudge
from evaluation.benchmark.puppet_benchmark import build_puppets
from evaluation.metrics import Network
from media import encode_clip
from networks.weights import NetworkError
from orchestration.commands.comparing import NetworkPaths, compare_folders, named_folder
from profiles import load_profile
from profiles.schema import EvaluationConfig


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
