"""What the invisible mark does to the benchmark's metrics of puppets: `python -m benchmarks.provenance.metrics HOME`.

The student's videos in a finished home, as an export writes them (enlarged, marked, H.264) and read back at their own size: scored by the
benchmark's own code with the mark and without it. The visible mark is left out of both. Nothing in the home is written.
Of people `python -m benchmarks.provenance.people_metrics` asks the same.
"""

import argparse
import shutil
import tempfile
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch
from safetensors.numpy import save_file

from assets.core.workspace import Workspace
from assets.kinds.judging.generated_videos import judging_autoencoder
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import RECONSTRUCTION, STUDENT, ModelPlan, generation_plan
from evaluation.benchmark.cost import without_costs
from evaluation.benchmark.generated import open_generated
from evaluation.benchmark.read import load_benchmark
from evaluation.scoring.score import score_benchmark
from media import decode_clip, encode_clip
from omnihuman.exporting.marking import Marking
from profiles import load_profile
from profiles.judging import PUPPETS
from profiles.schema import EvaluationConfig
from provenance.watermark.payload import Payload

DAY = date(2026, 11, 29)
AS_MADE, WRITTEN, MARKED = "as made", "written", "written with the mark"


def written(frames: np.ndarray, fps: float, marking: Marking, place: Path) -> np.ndarray:
    """Frames as somebody sees them who plays the file: `(T, H, W, 3)` uint8, brought back to their own size."""
    pictures = marking.pictures(torch.from_numpy(frames), fps)
    place.write_bytes(encode_clip(pictures, fps, pixel_format="yuv420p"))
    height, width = frames.shape[1:3]
    shown = decode_clip(place, fps).frames
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in shown])


def write_set(source: Path, target: Path, benchmark: Benchmark, marked: bool) -> None:
    """One mode's videos, each with a payload of its own where they are marked: as version, its place from 1 on."""
    target.mkdir(parents=True)
    shutil.copyfile(source / "meta.json", target / "meta.json")
    made = open_generated(source, benchmark)
    frames = {
        name: written(
            made.frames(name),
            benchmark.fps,
            Marking(False, Payload(number + 1, DAY) if marked else None, None),
            target / "one.mp4",
        )
        for number, name in enumerate(made.names)
    }
    (target / "one.mp4").unlink()
    save_file(frames, target / "videos-000000.safetensors")


def score_written(
    made: Path, plan: ModelPlan, benchmark: Benchmark, config: EvaluationConfig, **looks: Any
) -> pd.DataFrame:
    """Rows of the score table of one model's videos; the column `model` is `AS_MADE`, `WRITTEN` or `MARKED`.

    Args:
        made: the benchmark's part of `generated_videos`; the reconstruction and the model's modes inside.
        plan: the model, and which of its modes.
        benchmark: the truth.
        config: number of bootstrap resamples, seed.
        looks: what else `score_benchmark` takes: instruments, an autoencoder.
    """
    kinds = (AS_MADE, WRITTEN, MARKED)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "generated"
        root.mkdir()
        (root / RECONSTRUCTION).symlink_to((made / RECONSTRUCTION).resolve())
        (root / AS_MADE).symlink_to((made / plan.name).resolve())
        for mode in plan.modes:
            for kind in (WRITTEN, MARKED):
                write_set(made / plan.name / mode, root / kind / mode, benchmark, kind == MARKED)
        plans = [replace(plan, name=kind) for kind in kinds]
        table = score_benchmark(root, benchmark, Path(folder) / "scores", config, plan=plans, **looks)
    return without_costs(table[table["model"].isin(kinds) & table["value"].notna()])


def table_of(scores: pd.DataFrame) -> str:
    """A row of markdown for each mode and metric: as made, written, its interval, with the mark, and whether that lies within.

    The last column says on how many clips it is defined, written and with the mark: an interval over one clip is a point, over two it
    ends at their two values, and nearly anything leaves those.
    """
    lines = [
        f"| driven by | metric | {AS_MADE} | {WRITTEN} | its 95 % interval | {MARKED} | within | clips |",
        "| --- | --- | ---: | ---: | --- | ---: | --- | --- |",
    ]
    table = scores.assign(defined=(scores["clips"] * scores["coverage"]).round().astype(int))
    table = table.set_index(["model", "mode", "metric"])
    values, defined = table["value"], table["defined"]
    for _, row in scores[scores["model"] == WRITTEN].iterrows():
        place = (row["mode"], row["metric"])
        made, marked = (values.get((kind, *place), float("nan")) for kind in (AS_MADE, MARKED))
        known = np.isfinite(row["ci_low"])
        interval = f"{row['ci_low']:.4g} to {row['ci_high']:.4g}" if known else "none"
        within = ("yes" if row["ci_low"] <= marked <= row["ci_high"] else "**no**") if known else "-"
        counts = f"{defined[(WRITTEN, *place)]}, {defined.get((MARKED, *place), 0)} of {int(row['clips'])}"
        said = (f"{made:.4g}", f"{row['value']:.4g}", interval, f"{marked:.4g}", within, counts)
        lines.append("| " + " | ".join((*place, *said)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print a row for each metric of the student."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="a home with benchmark_sets and generated_videos of puppets")
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--bootstrap", type=int, default=1000, help="resamples for the intervals")
    arguments = parser.parse_args()
    workspace = Workspace(arguments.home.resolve(), load_profile(arguments.profile, []))
    config = workspace.profile.evaluation.model_copy(update={"bootstrap": arguments.bootstrap})
    benchmark = load_benchmark(workspace.data("benchmark_sets"), PUPPETS)
    made = workspace.of_benchmark("generated_videos", PUPPETS)
    (plan,) = (model for model in generation_plan(config, benchmark) if model.name == STUDENT)
    plan = replace(plan, modes=tuple(mode for mode in plan.modes if (made / STUDENT / mode).is_dir()))
    print(table_of(score_written(made, plan, benchmark, config, autoencoder=judging_autoencoder(workspace.profile))))


if __name__ == "__main__":
    main()
