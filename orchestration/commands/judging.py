"""How good a model is, and what of the recipe made it so."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evaluation.questions.studies import STUDIES
from orchestration.commands.light_group import LightGroup
from orchestration.commands.options import CommandError, ProfileOption, SetOption, need, open_with

if TYPE_CHECKING:
    from assets.core.workspace import Workspace
    from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
    from evaluation.metrics.observation.instruments import Instruments
    from omnihuman import OmniHumanPipeline
    from serving.model_choice import LoadedModel

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
def sensitivity(
    model: Annotated[
        str,
        typer.Option(help="an asset that holds weights: stage_3_checkpoint, consistency_student, distilled_student"),
    ] = "stage_3_checkpoint",
    clips: int = 32,
) -> None:
    """Swap one condition at a time and measure what changes: of benchmark puppets mouth, joints, identity; where people judge the profile, of rendered
    people."""
    from omnihuman.pipeline import build_pipeline
    from omnihuman.placement import place_pipeline
    from profiles.judging import PUPPETS

    workspace = open_with()
    profile = workspace.profile
    ask = _sensitivity_of_puppets if PUPPETS in profile.evaluation.benchmarks else _sensitivity_of_people
    answer = ask(workspace)  # what is missing is said before the model is read
    steps = 1 if "student" in model else profile.evaluation.teacher_steps
    pipeline = place_pipeline(build_pipeline(profile, workspace.data(model) / "transformer", steps), profile)
    with _bar(model) as show:
        table = answer(pipeline, clips, steps, show)
    print(table)


Answer = Callable[["OmniHumanPipeline", int, int, "Callable[[int, int, str], None]"], str]


def _sensitivity_of_puppets(workspace: "Workspace") -> Answer:
    from evaluation.questions.sensitivity import as_markdown, measure_sensitivity

    config, benchmark = workspace.profile.evaluation, _benchmark_of_puppets(workspace)
    return lambda pipeline, clips, steps, show: as_markdown(
        measure_sensitivity(pipeline, benchmark, clips, steps, config.seed, config.batch_size, show)
    )


def _sensitivity_of_people(workspace: "Workspace") -> Answer:
    from evaluation.questions.people_sensitivity import as_markdown, measure_people_sensitivity
    from evaluation.questions.talking_people import side_of_people

    config, video = workspace.profile.evaluation, workspace.profile.video
    side, eyes = side_of_people(video), _eyes_for_people(workspace)
    return lambda pipeline, clips, steps, show: as_markdown(
        measure_people_sensitivity(
            pipeline, eyes, clips, video.frames, side, config.seed, steps, config.batch_size, show
        )
    )


def _shows_people(workspace: "Workspace", loaded: "LoadedModel") -> bool:
    """Whether a model is to make people: its record says that it has hardly seen puppets, or that it has seen both, or none, and the profile is
    judged by people."""
    from media.records.trained_on import PEOPLE, PUPPETS
    from profiles import judging

    by_puppets = judging.PUPPETS in workspace.profile.evaluation.benchmarks
    if loaded.trained_on is None or (loaded.trained_on.knows(PUPPETS) and loaded.trained_on.knows(PEOPLE)):
        return not by_puppets
    return not loaded.trained_on.knows(PUPPETS)


def _eyes_for_people(workspace: "Workspace") -> "Instruments":
    """What looks at people.

    Raises:
        CommandError: nothing finds their keypoints.
    """
    from assets.kinds.judging.instruments import profile_instruments

    instruments = profile_instruments(workspace)
    if instruments.keypoints is None:
        raise CommandError(
            f"the model makes people, and encoders.keypoints of profile {workspace.profile.name} finds none of theirs; set it to mediapipe "
            "(`make people-and-text`), or to the folder of a published detector"
        )
    return instruments


def _pipeline_of_puppets(workspace: "Workspace", loaded: "LoadedModel") -> "OmniHumanPipeline":
    """The pipeline of a model that has seen puppets.

    Raises:
        CommandError: its record says that it was trained on others.
    """
    from media.records.trained_on import PUPPETS

    if loaded.trained_on is not None and not loaded.trained_on.knows(PUPPETS):
        raise CommandError(
            f"{loaded.name} was trained on {loaded.trained_on}, and this makes puppets and reads them by their exact truth; what it makes of people "
            "`python -m assets benchmark_scores` measures, on the benchmarks of the profile, beside floors"
        )
    return loaded.pipeline


def _benchmark_of_puppets(workspace: "Workspace") -> "PuppetBenchmark":
    """Open the puppets that the profile is judged by.

    Raises:
        CommandError: it is judged by others alone.
    """
    from evaluation.benchmark.puppet_benchmark import load_puppets
    from profiles.judging import PUPPETS

    judges = workspace.profile.evaluation.benchmarks
    if PUPPETS not in judges:
        raise CommandError(
            f"this reads puppets by their exact truth, and profile {workspace.profile.name} is judged by {', '.join(judges)}; on those "
            "`python -m assets benchmark_scores` measures every model, beside floors"
        )
    return load_puppets(workspace.of_benchmark("benchmark_sets", PUPPETS))


@contextmanager
def _bar(label: str = "") -> Iterator[Callable[[int, int, str], None]]:
    """A progress bar as what the measures call with (done, all, note) after each piece; without a label the note is shown."""
    with typer.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def show(done: int, total: int, note: str) -> None:
            bar.length, bar.label = total, label or note
            bar.update(1)

        yield show


@app.command(rich_help_panel=PANEL)
def drift(
    model: Annotated[str, typer.Option(help="as in generate")] = "champion",
    segments: Annotated[int | None, typer.Option(min=1, help="default is 20")] = None,
    clips: Annotated[int, typer.Option(min=1, help="puppets or people, made as one batch")] = 8,
    steps: Annotated[int | None, typer.Option(min=1, help="sampling steps; default is the model's own")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="so many segments as that takes, instead of --segments")
    ] = None,
    recovery: Annotated[
        bool,
        typer.Option(
            "--recovery", help="of puppets: spoil one segment on purpose, and count how many the video takes to return"
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option(help="also write every segment's numbers as CSV")] = None,
) -> None:
    """Make long videos and measure whether identity, lip-sync, detail and what is seen drift from segment to segment: of puppets, or of a model of
    people of rendered people."""
    import pandas as pd

    from evaluation.questions.long_segments import segments_of
    from media import write_atomically
    from serving.model_choice import load_model

    given = {"--segments": segments, "--seconds": seconds, "--steps": steps}
    if recovery and (unused := [name for name, value in given.items() if value is not None]):
        raise CommandError(
            f"{unused[0]} is of long videos; leave it out beside --recovery, which makes nine segments in the model's own steps"
        )
    workspace = open_with()
    config = workspace.profile
    loaded = load_model(workspace, model)
    if recovery:
        from evaluation.questions import recovery as recovering

        pipeline = _pipeline_of_puppets(workspace, loaded)
        spoiled = recovering.measure_recovery(pipeline, clips, config.video.frames, config.evaluation.seed)
        rows, table = [vars(row) for row in spoiled], recovering.as_markdown(spoiled)
    else:
        if seconds is not None:
            segments = segments_of(seconds, config.video.frames, config.video.fps)
        rows, table = _drift(workspace, loaded, clips, segments or 20, steps)
    if output is not None:
        write_atomically(output, pd.DataFrame(rows).to_csv(index=False).encode())
    print(table)


def _drift(
    workspace: "Workspace", loaded: "LoadedModel", clips: int, segments: int, steps: int | None
) -> tuple[list[dict[str, Any]], str]:
    """A row for each segment, and the table."""
    config = workspace.profile
    length, seed = config.video.frames, config.evaluation.seed
    if _shows_people(workspace, loaded):
        from evaluation.questions import people_drift
        from evaluation.questions.talking_people import side_of_people

        side, eyes = side_of_people(config.video), _eyes_for_people(workspace)
        with _bar("segments") as show:
            seen = people_drift.measure_people_drift(
                loaded.pipeline, eyes, clips, segments, length, side, seed, steps, show
            )
        return [row.as_row() for row in seen], people_drift.as_markdown(seen)
    from evaluation.questions.long_video_drift import as_markdown, measure_drift

    with _bar("segments") as show:
        drifted = measure_drift(loaded.pipeline, clips, segments, length, seed, steps, show)
    return [vars(row) for row in drifted], as_markdown(drifted)


@app.command(rich_help_panel=PANEL)
def driving(
    model: Annotated[str, typer.Option(help="as in generate")] = "champion",
    segments: Annotated[int, typer.Option(min=1)] = 20,
    clips: Annotated[int, typer.Option(min=2, help="puppets or people, made as one batch")] = 16,
    steps: Annotated[int | None, typer.Option(min=1, help="sampling steps; default is the model's own")] = None,
) -> None:
    """Drive puppets, or with a model of people rendered people, by sound, pose, both and words alone, over one segment and over many, and measure
    what is followed, beside floors."""
    from evaluation.questions.condition_following import as_markdown, measure_condition_following
    from serving.model_choice import load_model

    workspace = open_with()
    config = workspace.profile
    length, seed = config.video.frames, config.evaluation.seed
    loaded = load_model(workspace, model)
    if _shows_people(workspace, loaded):
        from evaluation.questions.people_following import measure_people_following
        from evaluation.questions.talking_people import side_of_people

        side, eyes = side_of_people(config.video), _eyes_for_people(workspace)
        with _bar() as show:
            rows = measure_people_following(loaded.pipeline, eyes, clips, segments, length, side, seed, steps, show)
    else:
        with _bar() as show:
            rows = measure_condition_following(loaded.pipeline, clips, segments, length, seed, steps, show)
    print(as_markdown(rows))


@app.command("guidance-sweep", rich_help_panel=PANEL)
def guidance_sweep(
    model: Annotated[
        str, typer.Option(help="as in generate; a teacher of puppets")
    ] = "models:/omnihuman-teacher@champion",
    clips: Annotated[int, typer.Option(min=2, help="of the benchmark")] = 32,
    steps: Annotated[int | None, typer.Option(min=2, help="sampling steps; default is the model's own")] = None,
    apart: Annotated[
        bool,
        typer.Option(
            "--apart", help="guide text alone and audio alone, by constant scales, instead of both by each annealing"
        ),
    ] = False,
    output: Annotated[Path | None, typer.Option(help="also write guidance_sweep.csv and .png into this folder")] = None,
) -> None:
    """Sample benchmark puppets under guidance scales and annealings: does lip-sync trade against artefacts."""
    import pandas as pd

    from evaluation.questions.guidance_sweep import as_markdown, draw, sweep_guidance
    from media import write_atomically
    from serving.model_choice import load_model

    workspace = open_with()
    config = workspace.profile.evaluation
    benchmark, pipeline = (
        _benchmark_of_puppets(workspace),
        _pipeline_of_puppets(workspace, load_model(workspace, model)),
    )
    with _bar("guidance") as show:
        rows = sweep_guidance(
            pipeline, benchmark, clips, steps, config.seed, config.batch_size, apart=apart, progress=show
        )
    if output is not None:
        write_atomically(
            output / "guidance_sweep.csv", pd.DataFrame([vars(row) for row in rows]).to_csv(index=False).encode()
        )
        write_atomically(output / "guidance_sweep.png", draw(rows))
    print(as_markdown(rows))


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
