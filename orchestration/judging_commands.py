"""How good a model is, and what of the recipe made it so."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration.command_options import ProfileOption, SetOption, open_with

PANEL = "Judging"
app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def compare(
    baseline: Annotated[list[str] | None, typer.Option(help="NAME=FOLDER of videos named as the samples; repeat for several")] = None,
    truth: Annotated[Path | None, typer.Option(help="folder of the real clips; default the puppet benchmark, with our own models beside it")] = None,
    inception: Annotated[Path | None, typer.Option(help="pt_inception-2015-12-05-6726825d.pth: FID, KID")] = None,
    i3d: Annotated[Path | None, typer.Option(help="i3d_torchscript.pt: FVD, KVD")] = None,
    arcface: Annotated[Path | None, typer.Option(help="an ArcFace ONNX: CSIM, identity drift")] = None,
    syncnet: Annotated[Path | None, typer.Option(help="syncnet_v2.model: Sync-C, Sync-D")] = None,
    keypoints: Annotated[bool, typer.Option(help="find keypoints with the profile's detector: HKC, HKV, AKD")] = True,
    fit: Annotated[bool, typer.Option(help="resize, resample and cut videos to their samples instead of refusing them")] = False,
    limit: Annotated[int | None, typer.Option(help="at most so many samples")] = None,
    bootstrap: Annotated[int, typer.Option(help="resamples of the intervals")] = 200,
    published: Annotated[str, typer.Option(help="published numbers beside Table 1: celebv-hq or ravdess")] = "celebv-hq",
    output: Annotated[Path | None, typer.Option(help="folder to write; default var/comparisons/NAME")] = None,
    profile: ProfileOption = None,
) -> None:
    """Print the last comparison of teacher and student; with --baseline or --truth, score folders of videos on the same samples."""
    workspace = open_with(profile)
    path = workspace.data("baseline_comparison") / "comparison.md"
    if baseline or truth:
        from orchestration.comparing import NetworkPaths, compare_folders

        path = compare_folders(
            workspace, baseline or [], truth, NetworkPaths(inception, i3d, arcface, syncnet), fit=fit, keypoints=keypoints,
            limit=limit, resamples=bootstrap, published_set=published, output=output,
        ) / "comparison.md"  # fmt: skip
    elif not path.is_file():
        raise RuntimeError(f"no {path}; run `omnihuman demo` first")
    print(path.read_text())


@app.command(rich_help_panel=PANEL)
def sensitivity(
    model: Annotated[str, typer.Option(help="an asset that holds weights: stage_3_checkpoint, consistency_student, distilled_student")] = "stage_3_checkpoint",
    clips: int = 32,
) -> None:
    """Swap one condition at a time and measure on benchmark puppets what changes: mouth, joints, identity."""
    from evaluation.benchmark import load_benchmark
    from evaluation.sensitivity import as_markdown, measure_sensitivity
    from omnihuman.pipeline import build_pipeline

    workspace = open_with()
    profile = workspace.profile
    steps = 1 if "student" in model else profile.evaluation.teacher_steps
    pipeline = build_pipeline(profile, workspace.data(model) / "transformer", steps)
    benchmark = load_benchmark(workspace.data("benchmark_sets"))
    with typer.progressbar(length=7, label=model, file=sys.stderr) as bar:
        rows = measure_sensitivity(
            pipeline, benchmark, clips, steps, profile.evaluation.seed, profile.evaluation.batch_size, lambda done, total, title: bar.update(1)
        )
    print(as_markdown(rows))


@app.command(rich_help_panel=PANEL)
def drift(
    model: Annotated[str, typer.Option(help="as in generate; a model of puppets")] = "champion",
    segments: Annotated[int, typer.Option(min=1)] = 20,
    clips: Annotated[int, typer.Option(min=1, help="puppets, made as one batch")] = 8,
    steps: Annotated[int | None, typer.Option(min=1, help="sampling steps; default is the model's own")] = None,
    output: Annotated[Path | None, typer.Option(help="also write every segment's numbers as CSV")] = None,
) -> None:
    """Make long puppet videos and measure whether identity, lip-sync and joints drift from segment to segment."""
    import pandas as pd

    from evaluation.drift import as_markdown, measure_drift
    from media import write_atomically
    from orchestration.model_choice import load_model

    workspace = open_with()
    config = workspace.profile
    pipeline = load_model(workspace, model).pipeline
    with typer.progressbar(length=1, label="segments", file=sys.stderr) as bar:

        def show(done: int, total: int, note: str) -> None:
            bar.length = total
            bar.update(1)

        rows = measure_drift(pipeline, clips, segments, config.video.frames, config.evaluation.seed, steps, show)
    if output is not None:
        write_atomically(output, pd.DataFrame([vars(row) for row in rows]).to_csv(index=False).encode())
    print(as_markdown(rows))


@app.command("guidance-sweep", rich_help_panel=PANEL)
def guidance_sweep(
    model: Annotated[str, typer.Option(help="as in generate; a teacher of puppets")] = "models:/omnihuman-teacher@champion",
    clips: Annotated[int, typer.Option(min=2, help="of the benchmark")] = 32,
    steps: Annotated[int | None, typer.Option(min=2, help="sampling steps; default is the model's own")] = None,
    output: Annotated[Path | None, typer.Option(help="also write guidance_sweep.csv and .png into this folder")] = None,
) -> None:
    """Sample benchmark puppets under guidance scales and annealings: does lip-sync trade against artefacts."""
    import pandas as pd

    from evaluation.benchmark import load_benchmark
    from evaluation.guidance_sweep import as_markdown, draw, sweep_guidance
    from media import write_atomically
    from orchestration.model_choice import load_model

    workspace = open_with()
    config = workspace.profile.evaluation
    pipeline, benchmark = load_model(workspace, model).pipeline, load_benchmark(workspace.data("benchmark_sets"))
    with typer.progressbar(length=1, label="guidance", file=sys.stderr) as bar:

        def show(done: int, total: int, note: str) -> None:
            bar.length = total
            bar.update(1)

        rows = sweep_guidance(pipeline, benchmark, clips, steps, config.seed, config.batch_size, progress=show)
    if output is not None:
        write_atomically(output / "guidance_sweep.csv", pd.DataFrame([vars(row) for row in rows]).to_csv(index=False).encode())
        write_atomically(output / "guidance_sweep.png", draw(rows))
    print(as_markdown(rows))


@app.command(rich_help_panel=PANEL)
def ablate(
    seeds: Annotated[int, typer.Option(min=1)] = 2,
    variant: Annotated[list[str] | None, typer.Option(help="a variant of evaluation/ablation.py; repeat for several")] = None,
    profile: ProfileOption = None,
    overrides: SetOption = None,
) -> None:
    """Train and score the recipe with one thing changed at a time. Hours; killed and started again, it goes on."""
    from assets.ablation_study import run_ablation

    destination = run_ablation(open_with(profile, overrides), seeds, variant or [], " ".join(["omnihuman", *sys.argv[1:]]))
    print((destination / "ablation.md").read_text())
