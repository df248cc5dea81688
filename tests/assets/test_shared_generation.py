"""Several processes share a benchmark's samples: the same videos, and a plain word where one of them dies."""

import json
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from safetensors.numpy import load_file

from assets.core.names import SOURCES
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.kinds.judging import generated_videos
from assets.kinds.judging.benchmark_sets import load_benchmarks
from curation.errors import CurationError
from curation.workers import PROCESSES_VARIABLE
from evaluation.benchmark.benchmark_plan import AUDIO, STUDENT, ModelPlan
from evaluation.benchmark.puppet_benchmark import build_puppets
from omnihuman import placement
from profiles import load_profile
from training.stages.model import build_transformer

MODEL = ModelPlan(STUDENT, "student", (AUDIO,), None)


def unheard(done, total, note):
    """A report that nobody reads."""


@pytest.fixture
def asked(tmp_path):
    """An execution, and what is asked of a student that has learned nothing: three batches of one clip."""
    profile = load_profile("laptop", ["transformer.num_layers=1", "evaluation.clips=3", "evaluation.batch_size=1"])
    workspace = Workspace(tmp_path, profile)
    build_puppets(workspace.data("benchmark_sets") / "puppets", profile.evaluation, profile.video)
    folder = workspace.data(SOURCES[STUDENT])
    build_transformer(profile, None, 0).save_pretrained(folder / "transformer")
    (folder / "record.json").write_text(json.dumps({"weights_digest": "w"}))
    execution = SimpleNamespace(workspace=workspace)
    return execution, [(MODEL, benchmark, AUDIO) for benchmark in load_benchmarks(workspace)]


def videos(folder):
    return {path.name: {k: v.tobytes() for k, v in load_file(path).items()} for path in folder.glob("*.safetensors")}


@pytest.mark.end_to_end
def test_two_processes_make_the_videos_of_one(asked, monkeypatch):
    execution, sets = asked
    parent = execution.workspace.of_benchmark("generated_videos") / STUDENT
    generated_videos._generate(generated_videos._Pipelines(execution), sets[0][1], MODEL, AUDIO, lambda *_: None)
    alone = videos(parent / AUDIO)
    (parent / AUDIO).rename(parent / "alone")
    monkeypatch.setenv(PROCESSES_VARIABLE, "2")
    own, told, make = [], [], generated_videos.make_batches
    monkeypatch.setattr(
        generated_videos, "make_batches", lambda *a, share, **k: own.append(share) or make(*a, share=share, **k)
    )
    reports = [lambda done, total, note: told.append((done, total))] * len(sets)
    with ExitStack() as processes:
        generated_videos._share_among_processes(generated_videos._Pipelines(execution), sets, reports, processes)
    assert told and {total for _, total in told} == {3}, "what is done is told while it is made"
    (work,) = parent.glob(f".batches-{AUDIO}-*")
    assert [(share.index, share.of) for share in own] == [(0, 2)], "the other share is another process's"
    assert videos(work) == alone and len(alone) == 3
    pipelines = SimpleNamespace(execution=execution, get=lambda model: generated_videos.planned_pipeline(
        execution.workspace.profile, execution.workspace.data(SOURCES[STUDENT]) / "transformer", model))  # fmt: skip
    generated_videos._generate(pipelines, sets[0][1], MODEL, AUDIO, lambda *_: None)
    assert videos(parent / AUDIO) == alone and not work.exists()


def test_a_process_that_dies_is_told_and_a_wrong_number_is_refused(asked, monkeypatch):
    execution, sets = asked
    pipelines = SimpleNamespace(execution=execution, get=lambda model: None, sharing=None)
    monkeypatch.setenv(PROCESSES_VARIABLE, "many")
    with pytest.raises(CurationError, match="OMNIHUMAN_PROCESSES is 'many'; give a number"), ExitStack() as processes:
        generated_videos._share_among_processes(pipelines, sets, [unheard] * len(sets), processes)
    monkeypatch.setenv(PROCESSES_VARIABLE, "2")

    def killed():
        raise BrokenProcessPool

    monkeypatch.setattr(ProcessPoolExecutor, "submit", lambda *_: SimpleNamespace(result=killed))
    monkeypatch.setattr(generated_videos, "_make_share", lambda *_: None)
    with pytest.raises(AssetError, match=f"shared the videos of {STUDENT} was killed"), ExitStack() as processes:
        generated_videos._share_among_processes(pipelines, sets, [unheard] * len(sets), processes)


def test_unchanged_weights_load_no_model_and_start_no_process(asked, monkeypatch):
    execution, sets = asked
    benchmark, loaded = sets[0][1], []
    folder, wanted = generated_videos._wanted(execution.workspace, *sets[0])
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(wanted))
    monkeypatch.setenv(PROCESSES_VARIABLE, "2")
    pipelines = SimpleNamespace(execution=execution, get=loaded.append, sharing=None)
    monkeypatch.setattr(generated_videos, "generate_videos", lambda *_, **__: None)
    with ExitStack() as processes:
        generated_videos._share_among_processes(pipelines, sets, [unheard] * len(sets), processes)
    generated_videos._generate(pipelines, benchmark, MODEL, AUDIO, lambda *_: None)
    assert loaded == [] and pipelines.sharing is None
    (execution.workspace.data(SOURCES[STUDENT]) / "record.json").write_text(json.dumps({"weights_digest": "others"}))
    generated_videos._generate(pipelines, benchmark, MODEL, AUDIO, lambda *_: None)
    assert loaded == [MODEL]


@pytest.mark.parametrize(
    ("gpus", "said", "threads", "modes", "clips", "gib", "devices"),
    [
        (0, "", 2, 1, 64, 20, ["cpu"] * 2),
        (0, "", 1, 1, 64, 20, ["cpu"]),  # one thread is asked for, or there is one core
        (0, "", 16, 4, 48, 99, ["cpu"] * 3),  # a mode has three batches of sixteen
        (0, "", 2, 1, 63, 20, ["cpu"]),  # a process has 32 clips, or it is not worth its start
        (0, "", 16, 3, 32, 99, ["cpu"] * 2),
        (0, "", 2, 1, 64, 4.9, ["cpu"]),  # another takes 2 GiB and the weights' 3 again
        (0, "", 2, 1, 64, 5.1, ["cpu"] * 2),
        (0, "3", 1, 1, 1, 1, ["cpu"] * 3),
        (2, "", 16, 1, 64, 99, ["cuda:0", "cuda:1"]),
    ],
)
def test_a_processor_has_a_process_for_each_thread_as_far_as_clips_and_memory_go(
    monkeypatch, gpus, said, threads, modes, clips, gib, devices
):
    monkeypatch.setattr(placement.torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(generated_videos.torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(generated_videos.psutil, "virtual_memory", lambda: SimpleNamespace(available=int(gib * 2**30)))
    monkeypatch.setattr(generated_videos, "asked_clips", lambda *_: range(clips))
    monkeypatch.setenv(PROCESSES_VARIABLE, said)
    workspace = SimpleNamespace(profile=load_profile("laptop", []))
    lacking = [(MODEL, None, AUDIO)] * modes
    assert generated_videos.generating_devices(workspace, lacking, lambda: 3 * 2**30) == devices


@pytest.mark.parametrize(
    ("gpus", "asked", "processes", "devices"),
    [
        (0, "auto", None, ["cpu"]),
        (0, "auto", 3, ["cpu"] * 3),
        (4, "auto", None, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
        (4, "cuda", 2, ["cuda:0", "cuda:1"]),
        (2, "auto", 4, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        (4, "cuda:2", None, ["cuda:2"]),
        (4, "cpu", None, ["cpu"]),
    ],
)
def test_each_gpu_has_a_process(monkeypatch, gpus, asked, processes, devices):
    monkeypatch.setattr(placement.torch.cuda, "device_count", lambda: gpus)
    assert placement.sharing_devices(asked, processes) == devices
