"""Several processes share the scoring of a benchmark: the same numbers to the digit, and what each has measured stays when one is killed."""

import json
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save_file

from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.kinds.judging import benchmark_scores
from assets.kinds.judging.sharing import share_among_processes
from curation.workers import PROCESSES_VARIABLE
from evaluation.benchmark.benchmark_plan import GROUND_TRUTH, generation_plan, scored_sets
from evaluation.benchmark.puppet_benchmark import build_puppets
from evaluation.scoring.tables import Tables
from media.encode import encode_lossless
from omnihuman import placement
from profiles import load_profile


@pytest.fixture
def asked(tmp_path):
    """An execution on a benchmark of two blocks of puppets, of which every model made the clips themselves, a little darker."""
    profile = load_profile("laptop", ["evaluation.clips=17", "evaluation.bootstrap=5", "evaluation.batch_size=1"])
    workspace = Workspace(tmp_path, profile)
    benchmark = build_puppets(workspace.data("benchmark_sets") / "puppets", profile.evaluation, profile.video)
    darker = {
        name: np.frombuffer(encode_lossless((frames.numpy() * 0.9).astype(np.uint8), benchmark.fps), np.uint8)
        for name, frames in zip(benchmark.names, benchmark.frames, strict=True)
    }
    for model, mode in scored_sets(generation_plan(profile.evaluation, benchmark)):
        if model == GROUND_TRUTH:
            continue
        folder = workspace.of_benchmark("generated_videos", benchmark.name) / model / mode
        folder.mkdir(parents=True)
        save_file(darker, folder / "videos-000000.safetensors")
        (folder / "meta.json").write_text(json.dumps({"benchmark": benchmark.digest}))
    return SimpleNamespace(workspace=workspace, report=lambda *_: None), benchmark


@pytest.mark.end_to_end
def test_two_processes_measure_what_one_measures(asked, monkeypatch, tmp_path):
    execution, benchmark = asked
    part = benchmark_scores._scored(execution, benchmark)
    alone = Tables.read(part)
    part.rename(tmp_path / "alone")
    monkeypatch.setenv(PROCESSES_VARIABLE, "2")
    own, measure = [], benchmark_scores.measure_benchmark
    monkeypatch.setattr(
        benchmark_scores,
        "measure_benchmark",
        lambda *given, **named: own.append(given[4]) or measure(*given, **named),
    )
    assert benchmark_scores._scored(execution, benchmark) == part
    assert [(share.index, share.of) for share in own] == [(0, 2)], "the other share is another process's"
    shared = Tables.read(part)
    assert shared.scores.equals(alone.scores) and shared.slices.equals(alone.slices)
    assert "latent_frechet" in set(shared.scores["metric"])
    assert [file.name for file in part.parent.iterdir()] == [part.name], "what was kept on the way is gone"


def killed(share, device):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_told_and_the_others_work_stays():
    done = []
    with pytest.raises(AssetError, match="shared the scores of puppets was killed.*start again.*OMNIHUMAN_PROCESSES"):
        share_among_processes(["cpu", "cpu"], done.append, killed, (), "the scores of puppets")
    assert [(share.index, share.of) for share in done] == [(0, 2)]


@pytest.mark.parametrize(
    ("gpus", "said", "cores", "clips", "devices"),
    [
        (0, "", 2, 100, ["cpu"] * 2),
        (0, "", 16, 100, ["cpu"] * 6),
        (0, "", 16, 31, ["cpu"]),
        (0, "3", 16, 8, ["cpu"] * 3),
        (2, "", 16, 8, ["cuda:0", "cuda:1"]),
        (2, "4", 16, 8, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
    ],
)
def test_as_many_processes_as_gpus_else_cores_unless_it_is_said(monkeypatch, gpus, said, cores, clips, devices):
    monkeypatch.setattr(placement.torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(benchmark_scores, "processes_here", lambda: cores)
    monkeypatch.setenv(PROCESSES_VARIABLE, said)
    workspace = SimpleNamespace(profile=load_profile("laptop", []))
    assert benchmark_scores.scoring_devices(workspace, clips) == devices
