"""Several processes share the scoring of a benchmark: the same numbers to the digit, and what each has measured stays when one is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from safetensors.numpy import save_file

from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.kinds.judging import benchmark_scores, evaluation_report
from assets.kinds.judging.sharing import Sharing
from curation.workers import PROCESSES_VARIABLE
from evaluation.benchmark.benchmark_plan import AUDIO, GROUND_TRUTH, STUDENT, generation_plan, scored_sets
from evaluation.benchmark.puppet_benchmark import build_puppets
from evaluation.scoring.error_analysis import latent_features
from evaluation.scoring.tables import Tables
from media.encode import encode_lossless
from networks.on_device import threads
from omnihuman import placement
from omnihuman.autoencoder import to_pixels
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


def told(folder, share, device):
    """What another process is: its number, threads of torch, and its share."""
    told = [os.getpid(), torch.get_num_threads(), share.index, share.of]
    (folder / str(len(list(folder.iterdir())))).write_text(json.dumps(told))


def test_other_processes_are_started_once_and_one_that_is_killed_is_told_and_its_work_stays(tmp_path):
    done, own = [], []
    with threads(5), Sharing(["cpu", "cpu"]) as sharing:
        for _ in range(2):
            sharing.do(lambda share: own.append(torch.get_num_threads()), told, (tmp_path,), "a look")
        assert torch.get_num_threads() == 5 and own == [2, 2]
        with pytest.raises(
            AssetError, match="shared the scores of puppets was killed.*start again.*OMNIHUMAN_PROCESSES"
        ):
            sharing.do(done.append, killed, (), "the scores of puppets")
    first, second = (json.loads((tmp_path / name).read_text()) for name in "01")
    assert first == second, "one process does both"
    assert first[1:] == [2, 1, 2] and first[0] != os.getpid()
    assert [(share.index, share.of) for share in done] == [(0, 2)]


def waits(file, share, device):
    file.write_text(str(os.getpid()))
    time.sleep(3600)


def told_by(file):
    """The number of the process that waits, once it does."""
    until = time.monotonic() + 300
    while not (file.is_file() and file.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return int(file.read_text())


def test_an_error_here_ends_the_others_at_once(tmp_path):
    def own(share):
        told_by(tmp_path / "number")
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"), Sharing(["cpu", "cpu"]) as sharing:
        sharing.do(own, waits, (tmp_path / "number",), "a look")
    assert not psutil.pid_exists(told_by(tmp_path / "number"))


def test_where_this_process_is_killed_nobody_is_left(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom assets.kinds.judging.sharing import Sharing\nfrom tests.assets.test_shared_scoring import waits\n"
        "if __name__ == '__main__':\n    with Sharing(['cpu', 'cpu']) as sharing:\n"
        "        sharing.do(lambda share: time.sleep(3600), waits, (Path(sys.argv[1]),), 'a look')\n"
    )
    (tmp_path / "first.py").write_text(code)
    first = subprocess.Popen(
        [sys.executable, "-W", "ignore", tmp_path / "first.py", tmp_path / "number"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    other = psutil.Process(told_by(tmp_path / "number"))
    family = [other, *psutil.Process(first.pid).children(recursive=True)]
    first.kill()
    first.wait()
    assert psutil.wait_procs(family, timeout=300)[1] == []


def test_videos_that_are_unchanged_are_not_looked_at_again(asked, monkeypatch):
    execution, benchmark = asked
    part = execution.workspace.var / "scored" / "puppets"

    def scored(*_, kept, **__):
        part.mkdir(parents=True)
        kept.folder.mkdir()

    monkeypatch.setattr(benchmark_scores, "score_benchmark", scored)
    monkeypatch.setattr(benchmark_scores, "judging_autoencoder", lambda _: None)
    assert benchmark_scores._scored(execution, benchmark) == part

    def looked(*_, **__):
        raise AssertionError("looked at again")

    for name in ("score_benchmark", "share_among_processes", "judging_autoencoder"):
        monkeypatch.setattr(benchmark_scores, name, looked)
    assert benchmark_scores._scored(execution, benchmark) == part
    meta = execution.workspace.of_benchmark("generated_videos", benchmark.name) / STUDENT / AUDIO / "meta.json"
    meta.write_text(json.dumps({"benchmark": benchmark.digest, "weights": "others"}))
    with pytest.raises(AssertionError, match="looked at again"):
        benchmark_scores._scored(execution, benchmark)


def test_true_clips_are_encoded_once_until_the_autoencoder_is_another(asked, monkeypatch):
    execution, benchmark = asked
    workspace, encoded = execution.workspace, []
    monkeypatch.setattr(evaluation_report, "judging_autoencoder", lambda _: torch.nn.Linear(1, 1))

    def encode(autoencoder, pixels):
        encoded.append(float(pixels.mean()))
        return pixels[:, :, ::4, ::8, ::8]

    monkeypatch.setattr(evaluation_report, "encode_video", encode)
    first = evaluation_report.true_features(workspace, benchmark, [3, 1])
    clips = torch.stack([benchmark.frames[clip] for clip in (3, 1)])
    np.testing.assert_array_equal(first, latent_features(to_pixels(clips)[:, :, ::4, ::8, ::8].numpy()))
    assert len(encoded) == 2
    again = evaluation_report.true_features(workspace, benchmark, [1, 2, 3])
    np.testing.assert_array_equal(again[[2, 0]], first)
    assert len(encoded) == 3, "clip 2 alone is new"
    monkeypatch.setattr(evaluation_report, "source_version", lambda _: "another")
    evaluation_report.true_features(workspace, benchmark, [1])
    assert len(encoded) == 4
    folders = list((workspace.var / "true_features" / "puppets").iterdir())
    assert len(folders) == 1, "features of the autoencoder before are gone"


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
