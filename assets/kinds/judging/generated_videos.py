"""Every model sampled on every benchmark, and the autoencoder's reconstruction as the ceiling."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import torch
from torch import nn

from assets.core.catalogue import STEPS
from assets.core.names import SOURCES
from assets.core.steps import AssetError, Execution, Fixed, Metadata, Png, Report
from assets.core.versions import source_version
from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import INDEX, joint_digest, load_benchmarks, shown_faces
from assets.kinds.judging.evaluation_runs import evaluation_run
from assets.kinds.judging.sharing import Sharing, on_device
from curation.workers import EACH, processes_asked
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import AUDIO, PIXELS, POSE, RECONSTRUCTION, STUDENT, ModelPlan, generation_plan
from evaluation.benchmark.generate import Share, asked_clips, generate_videos, make_batches, reconstruct
from evaluation.pages.pictures import models_sheet
from media import write_atomically
from media.records import ProductRecord
from omnihuman.autoencoder import load_autoencoder
from omnihuman.bases.model import OmniHumanModel
from omnihuman.pipeline import OmniHumanPipeline, build_pipeline
from omnihuman.placement import (
    CPU,
    choose_device,
    choose_dtype,
    choose_quantised,
    numbers_name,
    place_pipeline,
    sharing_devices,
)
from profiles import Profile, resolve_source
from profiles.judging import EvaluationConfig, SamplingConfig, benchmark_folder

if TYPE_CHECKING:
    from diffusers import AutoencoderKLWan

FEWEST_CLIPS = 32  # of a process on a CPU, in all modes of a model: its imports take about ten seconds


def make_generated_videos(execution: Execution) -> Metadata:
    """Generate what is not there yet: each model and mode that is done survives a kill."""
    workspace = execution.workspace
    config, root = workspace.profile.evaluation, workspace.data("generated_videos")
    benchmarks = load_benchmarks(workspace)
    params = {"benchmark": joint_digest(benchmarks), "clips": sum(map(len, benchmarks)), **teacher_sampling(config)}
    with evaluation_run(execution, params=params) as run:
        for benchmark in benchmarks:
            _reconstruct(execution, benchmark)
        # A model's pipeline is loaded once, for all benchmarks.
        plans = [generation_plan(config, benchmark) for benchmark in benchmarks]
        sets = [
            (model, benchmark, mode)
            for models in zip(*plans, strict=True)
            for model, benchmark in zip(models, benchmarks, strict=True)
            for mode in model.modes
        ]
        pipelines, done = _Pipelines(execution), 0
        with ExitStack() as processes:
            for _, own in groupby(sets, lambda asked: asked[0].name):
                asked = list(own)
                reports = [_share(execution, number, len(sets)) for number in range(done, done + len(asked))]
                _share_among_processes(pipelines, asked, reports, processes)
                for (model, benchmark, mode), report in zip(asked, reports, strict=True):
                    _generate(pipelines, benchmark, model, mode, report)
                done += len(asked)
        seconds = _seconds(root, config.benchmarks)
        run.log({f"seconds_per_clip.{name}": value for name, value in seconds.items()})
        for benchmark in benchmarks:
            folder = workspace.of_benchmark("generated_videos", benchmark.name)
            for video in sorted((folder / STUDENT / shown_mode(benchmark)).glob("*.mp4")):
                run.artifact(video, f"videos/{folder.name}")
        _forget_other_benchmarks(root, config.benchmarks)
        write_atomically(root / INDEX, json.dumps({b.name: b.digest for b in benchmarks}, indent=1).encode())
    first = benchmarks[0]
    folder, mode = workspace.of_benchmark("generated_videos", first.name), shown_mode(first)
    videos = {model.title: folder / model.name / mode for model in plans[0]}
    return {
        "contact_sheet": Png(models_sheet(first, videos, hide=shown_faces(workspace, first))),
        "videos": Fixed(sum(1 for _ in root.glob("*/*/*/*.mp4"))),
        "seconds_per_clip": seconds,
        "mlflow_run_id": run.run_id,
    }


def teacher_sampling(config: EvaluationConfig) -> dict[str, Any]:
    """How teachers are sampled, as parameters of a run."""
    sampling = config.sampling
    return {
        "teacher_steps": config.teacher_steps,
        "guidance_scale": config.guidance_scale,
        "solver": sampling.solver,
        "shift": sampling.shift,
    }


def shown_mode(benchmark: Benchmark) -> str:
    """The mode whose videos people look at first: driven by sound, or by pose where no clip has sound.

    Raises:
        AssetError: a benchmark whose samples have neither.
    """
    for mode in (AUDIO, POSE):
        if benchmark.driven_by(mode):
            return mode
    raise AssetError(
        f"no sample of benchmark {benchmark.name} has sound or keypoints, so nothing can drive a video of it; build it of other clips, or with a "
        "detector that sees who is in them (encoders.keypoints)"
    )


def _reconstruct(execution: Execution, benchmark: Benchmark) -> None:
    profile = execution.workspace.profile
    pixels = execution.workspace.of_benchmark("generated_videos", benchmark.name) / RECONSTRUCTION / PIXELS
    maker, autoencoder = pixels / "autoencoder.txt", source_version(profile.encoders.autoencoder)
    if _is_done(pixels, {"benchmark": benchmark.digest}) and maker.is_file() and maker.read_text() == autoencoder:
        return
    reconstruct(judging_autoencoder(profile), benchmark, pixels, profile.evaluation.batch_size)
    write_atomically(maker, autoencoder.encode())


class _Pipelines:
    """Loads a model's pipeline when its first video is wanted, and keeps one at a time.

    Attributes:
        sharing: the processes that make videos together, once there are some.
    """

    def __init__(self, execution: Execution):
        self.execution, self._name = execution, ""
        self.sharing: Sharing | None = None
        self._pipeline: Any = None

    def get(self, model: ModelPlan) -> Any:
        if self._name != model.name:
            self._name, self._pipeline = model.name, _pipeline_of(self.execution.workspace, model)
        return self._pipeline


def planned_pipeline(profile: Profile, transformer: str | Path | OmniHumanModel, model: ModelPlan) -> OmniHumanPipeline:
    """The pipeline of a planned model, where it is to compute: a student by its own single step; a teacher as one, and guided, even where a
    single step is planned."""
    steps = 1 if model.steps is None else profile.evaluation.teacher_steps
    return place_pipeline(build_pipeline(profile, transformer, steps), profile)


def _pipeline_of(workspace: Workspace, model: ModelPlan) -> OmniHumanPipeline:
    return planned_pipeline(workspace.profile, workspace.data(SOURCES[model.name]) / "transformer", model)


Asked = tuple[ModelPlan, Benchmark, str]  # and the mode


def _share_among_processes(
    pipelines: _Pipelines, asked: list[Asked], reports: list[Report], processes: ExitStack
) -> None:
    """Have processes, this one among them, make what is lacking of one model's videos, where more than one is worth it; `processes` ends them."""
    workspace = pipelines.execution.workspace
    told = [pair for pair in zip(asked, reports, strict=True) if not _is_done(*_wanted(workspace, *pair[0]))]
    if not told:
        return
    lacking = [one for one, _ in told]
    model = lacking[0][0]
    if pipelines.sharing is None:
        devices = generating_devices(workspace, lacking, lambda: weight_bytes(pipelines.get(model)))
        if len(devices) == 1:
            return
        pipelines.sharing = processes.enter_context(Sharing(devices))
    work = [(benchmark.name, mode) for _, benchmark, mode in lacking]
    pipelines.sharing.do(
        lambda share: _make_share(pipelines.get(model), workspace, told, share),
        make_share,
        (workspace, model, work),
        f"the videos of {model.name}",
    )


def generating_devices(workspace: Workspace, lacking: Sequence[Asked], weights: Callable[[], int]) -> list[str]:
    """The device of each process that makes a model's videos: as many as `OMNIHUMAN_PROCESSES` says, else one a GPU, else one for each of torch's
    threads, as far as memory has room for the model again and each has enough clips to be worth its start. Processes of one thread wait for nobody,
    where two threads on busy cores wait for each other (docs/results/2026-11-30-half-the-time.md#evaluation).

    Args:
        workspace: whose profile names the device.
        lacking: what is to be made.
        weights: bytes of the model's weights.
    """
    asked, config = processes_asked(), workspace.profile.evaluation
    if asked is None and sharing_devices(config.device, None) == [CPU]:
        clips = [len(asked_clips(benchmark, mode, config)) for _, benchmark, mode in lacking]
        most = min(torch.get_num_threads(), sum(clips) // FEWEST_CLIPS, -(-max(clips) // config.batch_size))
        asked = 1 if most < 2 else max(1, min(most, 1 + psutil.virtual_memory().available // (EACH + weights())))
    return sharing_devices(config.device, asked)


def weight_bytes(pipeline: OmniHumanPipeline) -> int:
    """Of all its networks."""
    networks = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    return sum(parameter.nbytes for network in networks for parameter in network.parameters())


def make_share(
    workspace: Workspace, model: ModelPlan, work: Sequence[tuple[str, str]], share: Share, device: str
) -> None:
    """In a process of its own: load the model to `device` and make a share of the batches of each (benchmark, mode)."""
    moved = on_device(workspace, device)
    benchmarks = {benchmark.name: benchmark for benchmark in load_benchmarks(moved)}
    asked: list[tuple[Asked, Report | None]] = [((model, benchmarks[name], mode), None) for name, mode in work]
    _make_share(_pipeline_of(moved, model), moved, asked, share)


def _make_share(
    pipeline: OmniHumanPipeline, workspace: Workspace, asked: Sequence[tuple[Asked, Report | None]], share: Share
) -> None:
    config = workspace.profile.evaluation
    for (model, benchmark, mode), report in asked:
        folder, wanted = _wanted(workspace, model, benchmark, mode)
        make_batches(pipeline, benchmark, folder, mode, model.steps, config, report, share=share, **_made_by(wanted))


def _wanted(workspace: Workspace, model: ModelPlan, benchmark: Benchmark, mode: str) -> tuple[Path, dict[str, Any]]:
    """The folder of one model and mode, and what its record says when it is up to date."""
    config = workspace.profile.evaluation
    folder = workspace.of_benchmark("generated_videos", benchmark.name) / model.name / mode
    record = ProductRecord.read(workspace.data(SOURCES[model.name]))
    return folder, {
        "weights": pipeline_digest(workspace, record.weights_digest),
        "benchmark": benchmark.digest,
        "steps": model.steps,
        "guidance_scale": None if model.steps is None else config.guidance_scale,
        "sampling": (config.sampling if model.steps is not None else SamplingConfig()).model_dump(),
        "batch_size": config.batch_size,
        "seed": config.seed,
        "dtype": computed_in(workspace.profile),
    }


def _generate(pipelines: _Pipelines, benchmark: Benchmark, model: ModelPlan, mode: str, report: Report) -> None:
    workspace = pipelines.execution.workspace
    folder, wanted = _wanted(workspace, model, benchmark, mode)
    if not _is_done(folder, wanted):
        config, made_by = workspace.profile.evaluation, _made_by(wanted)
        generate_videos(pipelines.get(model), benchmark, folder, mode, model.steps, config, report, **made_by)


def _made_by(wanted: dict[str, Any]) -> dict[str, Any]:
    return {"weights": wanted["weights"], "dtype": wanted["dtype"]}


def judging_autoencoder(profile: Profile) -> "AutoencoderKLWan":
    """The profile's own, where its models compute: for reconstructions and for distances of latents."""
    autoencoder = load_autoencoder(resolve_source(profile.encoders.autoencoder))
    return autoencoder.to(choose_device(profile.evaluation.device))


def computed_in(profile: Profile) -> str:
    """Name of the dtype that models generate in here, and of their weights' where that is another."""
    device = choose_device(profile.evaluation.device)
    return numbers_name(choose_dtype(profile, device), choose_quantised(profile, device))


def _share(execution: Execution, number: int, sets: int) -> Report:
    """Progress within one of `sets` sets as progress in all of them."""
    return lambda clips, total, note: execution.report(number * total + clips, sets * total, note)


def pipeline_digest(workspace: Workspace, weights: str) -> str:
    """Digest of everything that makes a checkpoint's videos: its transformer's weights, the frozen encoders, this code."""
    encoders = workspace.profile.encoders
    # With the step's version, because a change of the sampling code makes videos that are done out of date too.
    parts = [
        weights,
        STEPS["generated_videos"].version,
        *map(source_version, encoders.named.values()),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_done(folder: Path, wanted: dict[str, Any]) -> bool:
    meta = folder / "meta.json"
    if not meta.is_file():
        return False
    found = json.loads(meta.read_text())
    # What they were before they were said.
    found = {"sampling": SamplingConfig().model_dump(), "dtype": "float32"} | found
    return all(found.get(key) == value for key, value in wanted.items())


def _seconds(root: Path, benchmarks: Sequence[str]) -> dict[str, float]:
    """Of the first benchmark as `<model>.<mode>`, of the others with their name before it."""
    found = {}
    for name in benchmarks:
        before = "" if name == benchmarks[0] else f"{benchmark_folder(name)}."
        for path in sorted((root / benchmark_folder(name)).glob("*/*/meta.json")):
            seconds = json.loads(path.read_text())["seconds_per_clip"]
            found[f"{before}{path.parent.parent.name}.{path.parent.name}"] = round(seconds, 4)
    return found


def _forget_other_benchmarks(root: Path, benchmarks: Sequence[str]) -> None:
    """Videos of benchmarks that the profile no longer lists, and those that earlier versions kept without one."""
    kept = {benchmark_folder(name) for name in benchmarks}
    for folder in root.iterdir():
        if folder.is_dir() and folder.name not in kept:
            shutil.rmtree(folder)
