"""Every model sampled on the benchmark, and the autoencoder's reconstruction as the ceiling."""

import hashlib
import json
from pathlib import Path

from assets.evaluation_runs import evaluation_run
from assets.steps import Execution, Metadata, Step
from assets.versions import ENCODERS, source_version

# Folder under generated_videos -> asset whose weights it samples.
SOURCES = {
    "teacher": "stage_3_checkpoint",
    "teacher_one_step": "stage_3_checkpoint",
    "consistency_student": "consistency_student",
    "distilled_student": "distilled_student",
}


def make_generated_videos(execution: Execution) -> Metadata:
    """Generate what is not there yet: each model and mode that is done survives a kill."""
    from evaluation.benchmark import load_benchmark
    from evaluation.generate import generate_videos, reconstruct
    from evaluation.plan import PIXELS, RECONSTRUCTION, generation_plan
    from omnihuman.autoencoder import load_autoencoder
    from omnihuman.pipeline import build_pipeline
    from profiles import resolve_source

    workspace, config = execution.workspace, execution.workspace.profile.evaluation
    benchmark = load_benchmark(workspace.data("benchmark_sets"))
    root = workspace.data("generated_videos")
    plan = generation_plan(config)
    total = sum(len(model.modes) for model in plan) * len(benchmark)
    done = 0
    with evaluation_run(execution, params={"benchmark": benchmark.digest, "clips": len(benchmark)}) as run:
        pixels = root / RECONSTRUCTION / PIXELS
        autoencoder = source_version(workspace.profile.encoders.autoencoder)
        if not _is_done(pixels, {"benchmark": benchmark.digest}) or _maker(pixels) != autoencoder:
            source = resolve_source(workspace.profile.encoders.autoencoder)
            reconstruct(load_autoencoder(source), benchmark, pixels, config.batch_size)
            (pixels / "maker").write_text(autoencoder)
        for model in plan:
            weights = weights_of(execution, SOURCES[model.name])
            wanted = {"weights": weights, "benchmark": benchmark.digest, "steps": model.steps, "seed": config.seed}
            wanted |= {"batch_size": config.batch_size}
            wanted |= {"guidance_scale": None if model.steps is None else config.guidance_scale}
            left = [mode for mode in model.modes if not _is_done(root / model.name / mode, wanted)]
            done += (len(model.modes) - len(left)) * len(benchmark)
            if not left:
                continue
            pipeline = build_pipeline(
                workspace.profile, workspace.data(SOURCES[model.name]) / "transformer", model.steps or 1
            )
            for mode in left:
                start = done
                generate_videos(
                    pipeline, benchmark, root / model.name / mode, mode, model.steps, config,
                    lambda clips, _, note, start=start: execution.report(start + clips, total, note),
                    weights=weights,
                )
                done += len(benchmark)
        seconds = _seconds(root)
        run.log({f"seconds_per_clip.{name}": value for name, value in seconds.items()})
        for video in sorted((root / "distilled_student" / "audio").glob("*.mp4")):
            run.artifact(video, "videos")
    return {"videos": sum(1 for _ in root.glob("*/*/*.mp4")), "seconds_per_clip": seconds, "mlflow_run_id": run.run_id}


def weights_of(execution: Execution, asset: str) -> str:
    """Digest of everything in the pipeline of a checkpoint: its transformer and the frozen encoders."""
    record = json.loads((execution.workspace.data(asset) / "record.json").read_text())
    encoders = execution.workspace.profile.encoders
    parts = [record["weights_digest"], *(source_version(getattr(encoders, name)) for name in ENCODERS)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _is_done(folder: Path, wanted: dict) -> bool:
    meta = folder / "meta.json"
    if not meta.is_file():
        return False
    found = json.loads(meta.read_text())
    return all(found.get(key) == value for key, value in wanted.items())


def _maker(folder: Path) -> str:
    return (folder / "maker").read_text() if (folder / "maker").is_file() else ""


def _seconds(root: Path) -> dict[str, float]:
    records = {path.parent: json.loads(path.read_text()) for path in sorted(root.glob("*/*/meta.json"))}
    return {
        f"{folder.parent.name}.{folder.name}": round(record["seconds_per_clip"], 4)
        for folder, record in records.items()
    }


GENERATED_VIDEOS = Step(
    name="generated_videos",
    description="Teacher, undistilled one-step teacher, consistency student and distilled student on the same benchmark "
    "with the same noise: audio-driven, pose-driven, and with another clip's sound as the floor.",
    make=make_generated_videos,
    upstream=("benchmark_sets", "stage_3_checkpoint", "consistency_student", "distilled_student"),
    sections=("evaluation", "encoders"),
    group="evaluation",
    kinds=frozenset({"pytorch", "huggingface", "mlflow", "dvc"}),
    marker="distilled_student/audio/meta.json",
    accelerated=True,
)
