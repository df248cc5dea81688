"""How good a model is, and what of the recipe made it so."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from evaluation.questions.studies import STUDIES
from orchestration.commands.light_group import LightGroup
from orchestration.commands.options import CommandError, ProfileOption, SetOption, need, open_with

PANEL = "Judging"
app = typer.Typer()
votes_app = typer.Typer(
    cls=LightGroup,
    help="What people prefer: blind pairs in a browser, and the table of their votes.",
    no_args_is_help=True,
)
app.add_typer(votes_app, name="votes", rich_help_panel=PANEL)


BenchmarkOption = Annotated[
    str | None,
    typer.Option(
        help="one of evaluation.benchmarks: puppets, packaged, held_out, test_set:NAME; default the profile's first"
    ),
]


@app.command(rich_help_panel=PANEL)
def compare(
    baseline: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of videos named as the samples; repeat for several")
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(help="folder of the real clips; default is --benchmark, with our own models beside it"),
    ] = None,
    inception: Annotated[Path | None, typer.Option(help="pt_inception-2015-12-05-6726825d.pth: FID, KID")] = None,
    i3d: Annotated[Path | None, typer.Option(help="i3d_torchscript.pt: FVD, KVD")] = None,
    arcface: Annotated[Path | None, typer.Option(help="an ArcFace ONNX: CSIM, identity drift")] = None,
    syncnet: Annotated[Path | None, typer.Option(help="syncnet_v2.model: Sync-C, Sync-D")] = None,
    qalign: Annotated[Path | None, typer.Option(help="folder of q-future/one-align: IQA, ASE")] = None,
    dlib_face: Annotated[
        bool,
        typer.Option("--dlib-face", help="the face network of `make people-and-text`: dlib face distance and drift"),
    ] = False,
    keypoints: Annotated[bool, typer.Option(help="find keypoints with the profile's detector: HKC, HKV, AKD")] = True,
    fit: Annotated[
        bool,
        typer.Option(
            help="resample and cut videos, and compare all in the frame that they share, instead of refusing them"
        ),
    ] = False,
    limit: Annotated[int | None, typer.Option(help="at most so many samples")] = None,
    bootstrap: Annotated[int, typer.Option(help="resamples of the intervals")] = 200,
    published: Annotated[
        str, typer.Option(help="published numbers beside Table 1: celebv-hq or ravdess")
    ] = "celebv-hq",
    output: Annotated[Path | None, typer.Option(help="folder to write; default var/comparisons/NAME")] = None,
    benchmark: BenchmarkOption = None,
    profile: ProfileOption = None,
) -> None:
    """Print the last comparison of teacher and student; with --baseline or --truth, score folders of videos on the same samples."""
    workspace = open_with(profile)
    path = workspace.of_benchmark("baseline_comparison", benchmark) / "comparison.md"
    if baseline or truth:
        from orchestration.commands.comparing import NetworkPaths, compare_folders

        path = compare_folders(
            workspace, baseline or [], truth, NetworkPaths(inception, i3d, arcface, syncnet, qalign, dlib_face), fit=fit, keypoints=keypoints,
            benchmark=benchmark, limit=limit, resamples=bootstrap, published_set=published, output=output,
        ) / "comparison.md"  # fmt: skip
    elif not path.is_file():
        raise CommandError(f"no {path}; run `omnihuman demo` first")
    print(path.read_text())


@app.command(rich_help_panel=PANEL)
def ablate(
    study: Annotated[list[str] | None, typer.Option(help=f"{', '.join(STUDIES)}; repeat for several")] = None,
    seeds: Annotated[int, typer.Option(min=1)] = 2,
    variant: Annotated[
        list[str] | None,
        typer.Option(help="a variant of the study (evaluation/questions/studies.py); repeat for several"),
    ] = None,
    profile: ProfileOption = None,
    overrides: SetOption = None,
) -> None:
    """Train and score the recipe with one thing changed at a time. Hours; killed and started again, it goes on."""
    from assets.questions.ablation_study import run_study

    workspace, command = open_with(profile, overrides), " ".join(["omnihuman", *sys.argv[1:]])
    for name in study or ["adversarial"]:
        print((run_study(workspace, name, seeds, variant or [], command) / "ablation.md").read_text())


StudyOption = Annotated[str | None, typer.Option(help="compare this study's variants; default our own models")]


@votes_app.command("serve")
def votes_serve(
    study: StudyOption = None,
    clips: Annotated[int, typer.Option(min=1, help="of the benchmark, each with every pair of models")] = 16,
    benchmark: BenchmarkOption = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8090,
) -> None:
    """Ask which of two videos is better, on 127.0.0.1: identity, lip-sync, quality, diversity, overall. Needs the extra `serve`."""
    need("pip install -c constraints.txt -e '.[serve]'", "fastapi")
    from serving.votes_server import open_stage, serve_votes

    raise typer.Exit(serve_votes(open_stage(open_with(), study, clips, benchmark_name=benchmark), port))


@votes_app.command("table")
def votes_table(
    study: StudyOption = None,
    output: Annotated[Path | None, typer.Option(help="also write every number as CSV")] = None,
) -> None:
    """Print how often each model was preferred, with 95 % intervals."""
    import pandas as pd

    from evaluation.people.preference import read_votes, votes_file, win_markdown, win_table
    from media import write_atomically

    path = votes_file(open_with(writes=False).root, study)
    votes = read_votes(path)
    if not votes:
        raise CommandError(f"no votes in {path}; collect some with `omnihuman votes serve`")
    rows = win_table(votes)
    if output is not None:
        write_atomically(output, pd.DataFrame(rows).to_csv(index=False).encode())
    print(win_markdown(rows))
