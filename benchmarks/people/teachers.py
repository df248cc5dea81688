"""Transformers side by side on a home's held-out people: `python -m benchmarks.people.teachers HOME NAME=FOLDER ... [--sheet OUT.png]`.

What a base knew alone and what a training added to it: each folder is sampled as a teacher, by sound, by another clip's sound (the floor of
mouths) and by pose, beside the clips themselves and their reconstruction. Videos and tables stay in `--output`.
"""

import argparse
from pathlib import Path

import torch

from assets.core.markdown import markdown_table
from assets.core.workspace import Workspace
from assets.kinds.judging.generated_videos import computed_in, judging_autoencoder, planned_pipeline
from assets.kinds.judging.instruments import profile_instruments
from evaluation.benchmark.benchmark_plan import AUDIO, POSE, SHUFFLED_AUDIO, ModelPlan
from evaluation.benchmark.generate import generate_videos, reconstruct
from evaluation.benchmark.read import load_benchmark
from evaluation.pages.pictures import models_sheet
from evaluation.scoring.score import score_benchmark
from media import write_atomically
from media.files import sha256_of_file
from profiles import load_profile

METRICS = (
    "faces_found", "dlib_face_distance", "mouth_opening_r", "true_mouth_r", "mouth_sound_r", "akd", "missing_keypoints", "high_frequency_ratio",
    "imagenet_frechet",
)  # fmt: skip


def main() -> None:
    """Print a row for each set of videos."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path, help="root whose data/benchmark_sets holds rendered_people")
    parser.add_argument("models", nargs="+", metavar="NAME=FOLDER", help="a transformer's folder")
    parser.add_argument("--output", type=Path, required=True, help="folder for videos and tables")
    parser.add_argument("--benchmark", default="rendered_people")
    parser.add_argument("--set", action="append", default=[], help="override a key of the profile people")
    parser.add_argument("--sheet", type=Path, help="picture of the first clips, by sound")
    args = parser.parse_args()
    torch.set_num_threads(1)
    workspace = Workspace(args.home.resolve(), load_profile("people", args.set))
    config, benchmark = workspace.profile.evaluation, load_benchmark(workspace.data("benchmark_sets"), args.benchmark)
    folders = dict(model.split("=", 1) for model in args.models)
    modes = tuple(mode for mode in (AUDIO, SHUFFLED_AUDIO, POSE) if benchmark.driven_by(mode))
    plan = [ModelPlan(name, name, modes, config.teacher_steps) for name in folders]
    videos = args.output / "videos"
    dtype = computed_in(workspace.profile)
    reconstruct(
        judging_autoencoder(workspace.profile), benchmark, videos / "reconstruction" / "pixels", config.batch_size
    )
    for model in plan:
        folder = Path(folders[model.name])
        pipeline = planned_pipeline(workspace.profile, folder, model)
        weights = sha256_of_file(folder / "diffusion_pytorch_model.safetensors")
        for mode in model.modes:
            made = videos / model.name / mode
            generate_videos(pipeline, benchmark, made, mode, model.steps, config, weights=weights, dtype=dtype)
    if args.sheet:
        write_atomically(args.sheet, models_sheet(benchmark, {name: videos / name / AUDIO for name in folders}))
    looking = profile_instruments(workspace)
    scores = score_benchmark(
        videos, benchmark, args.output / "scores", config, plan=plan, instruments=looking, try_damage=False
    )
    shown = scores[scores["metric"].isin(METRICS)]
    wide = shown.pivot_table(index=["model", "mode"], columns="metric", values="value", sort=False)
    columns = [name for name in METRICS if name in wide]
    print(markdown_table(wide[columns].round(3).reset_index().to_dict("records")))


if __name__ == "__main__":
    main()
