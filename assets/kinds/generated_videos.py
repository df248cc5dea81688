"""Every model sampled on the benchmark, and the autoencoder's reconstruction as the ceiling."""

import hashlib
import json
from pathlib import Path
from typing import Any

from assets.core.catalogue import STEPS
from assets.core.names import SOURCES
from assets.core.steps import Execution, Fixed, Metadata, Png, Report
from assets.core.versions import ENCODERS, source_version
from assets.core.workspace import Workspace
from assets.kinds.evaluation_runs import evaluation_run
from evaluation.benchmark.benchmark_plan import AUDIO, PIXELS, RECONSTRUCTION, ModelPlan, generation_plan
from evaluation.benchmark.generate import generate_videos, reconstruct
from evaluation.benchmark.puppet_benchmark import Benchmark, load_benchmark
from evaluation.pages.pictures import models_sheet
from media import write_atomically
from media.records import ProductRecord
from omnihuman.autoencoder import load_autoencoder
from omnihuman.pipeline import OmniHumanPipeline, build_pipeline
from omnihuman.transformer import OmniHumanTransformer3DModel
from profiles import Profile, resolve_source


def make_generated_videos(execution: Execution) -> Metadata:
    """Generate what is not there yet: each model and mode that is done survives a kill."""
    workspace = execution.workspace
    benchmark = load_benchmark(workspace.data("benchmark_sets"))
    root = workspace.data("generated_videos")
    plan = generation_plan(workspace.profile.evaluation)
    with evaluation_run(execution, params={"benchmark": benchmark.digest, "clips": len(benchmark)}) as run:
        _reconstruct(execution, benchmark)
        sets = [(model, mode) for model in plan for mode in model.modes]
        pipelines = _Pipelines(execution)
        for place, (model, mode) in enumerate(sets):
            _generate(pipelines, benchmark, model, mode, _share(execution, place, len(sets)))
        seconds = _seconds(root)
        run.log({f"seconds_per_clip.{name}": value for name, value in seconds.items()})
        for video in sorted((root / "distilled_student" / "audio").glob("*.mp4")):
            run.artifact(video, "videos")
    return {
        "contact_sheet": Png(models_sheet(benchmark, {model.title: root / model.name / AUDIO for model in plan})),
        "videos": Fixed(sum(1 for _ in root.glob("*/*/*.mp4"))),
        "seconds_per_clip": seconds,
        "mlflow_run_id": run.run_id,
    }


def _reconstruct(execution: Execution, benchmark: Benchmark) -> None:
    profile = execution.workspace.profile
    pixels = execution.workspace.data("generated_videos") / RECONSTRUCTION / PIXELS
    maker, autoencoder = pixels / "autoencoder.txt", source_version(profile.encoders.autoencoder)
    if _is_done(pixels, {"benchmark": benchmark.digest}) and maker.is_file() and maker.read_text() == autoencoder:
        return
    source = resolve_source(profile.encoders.autoencoder)
    reconstruct(load_autoencoder(source), benchmark, pixels, profile.evaluation.batch_size)
    write_atomically(maker, autoencoder.encode())


class _Pipelines:
    """Loads a model's pipeline when its first video is wanted, and keeps one at a time."""

    def __init__(self, execution: Execution):
        self.execution, self._name = execution, ""
        self._pipeline: Any = None

    def get(self, model: ModelPlan) -> Any:
        if self._name != model.name:
            workspace = self.execution.workspace
            checkpoint = workspace.data(SOURCES[model.name]) / "transformer"
            self._name, self._pipeline = model.name, planned_pipeline(workspace.profile, checkpoint, model)
        return self._pipeline


def planned_pipeline(
    profile: Profile, transformer: str | Path | OmniHumanTransformer3DModel, model: ModelPlan
) -> OmniHumanPipeline:
    """The pipeline of a planned model: a student by its own single step; a teacher as one, and guided, even where a single step is planned."""
    return build_pipeline(profile, transformer, 1 if model.steps is None else profile.evaluation.teacher_steps)


def _generate(pipelines: _Pipelines, benchmark: Benchmark, model: ModelPlan, mode: str, report: Report) -> None:
    workspace, config = pipelines.execution.workspace, pipelines.execution.workspace.profile.evaluation
    folder = workspace.data("generated_videos") / model.name / mode
    record = ProductRecord.read(workspace.data(SOURCES[model.name]))
    weights = pipeline_digest(workspace, record.weights_digest)
    wanted: dict[str, Any] = {
        "weights": weights,
        "benchmark": benchmark.digest,
        "steps": model.steps,
        "guidance_scale": None if model.steps is None else config.guidance_scale,
        "batch_size": config.batch_size,
        "seed": config.seed,
    }
    if not _is_done(folder, wanted):
        pipeline = pipelines.get(model)
        generate_videos(pipeline, benchmark, folder, mode, model.steps, config, report, weights=weights)


def _share(execution: Execution, place: int, sets: int) -> Report:
    """Progress within one of `sets` sets as progress in all of them."""
    return lambda clips, total, note: execution.report(place * total + clips, sets * total, note)


def pipeline_digest(workspace: Workspace, weights: str) -> str:
    """Digest of everything that makes a checkpoint's videos: its transformer's weights, the frozen encoders, this code."""
    encoders = workspace.profile.encoders
    # With the step's version, because a change of the sampling code makes videos that are done out of date too.
    parts = [
        weights,
        STEPS["generated_videos"].version,
        *(source_version(getattr(encoders, name)) for name in ENCODERS),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_done(folder: Path, wanted: dict[str, Any]) -> bool:
    meta = folder / "meta.json"
    if not meta.is_file():
        return False
    found = json.loads(meta.read_text())
    return all(found.get(key) == value for key, value in wanted.items())


def _seconds(root: Path) -> dict[str, float]:
    records = {path.parent: json.loads(path.read_text()) for path in sorted(root.glob("*/*/meta.json"))}
    return {
        f"{folder.parent.name}.{folder.name}": round(record["seconds_per_clip"], 4)
        for folder, record in records.items()
    }
