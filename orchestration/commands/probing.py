"""Questions that a model is asked by videos made for it: what each condition changes, what it follows, and what of it lasts."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestration.commands.judging import PANEL
from orchestration.commands.options import CommandError, open_with
from orchestration.commands.subjects import benchmark_of_puppets, eyes_for_people, pipeline_of_puppets, shows_people

if TYPE_CHECKING:
    from assets.core.workspace import Workspace
    from omnihuman import OmniHumanPipeline
    from serving.model_choice import LoadedModel

app = typer.Typer()


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

    config, benchmark = workspace.profile.evaluation, benchmark_of_puppets(workspace)
    return lambda pipeline, clips, steps, show: as_markdown(
        measure_sensitivity(pipeline, benchmark, clips, steps, config.seed, config.batch_size, show)
    )


def _sensitivity_of_people(workspace: "Workspace") -> Answer:
    from evaluation.questions.people_sensitivity import as_markdown, measure_people_sensitivity
    from evaluation.questions.talking_people import side_of_people

    config, video = workspace.profile.evaluation, workspace.profile.video
    side, eyes = side_of_people(video), eyes_for_people(workspace)
    return lambda pipeline, clips, steps, show: as_markdown(
        measure_people_sensitivity(
            pipeline, eyes, clips, video.frames, side, config.seed, steps, config.batch_size, show
        )
    )


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
    seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="of puppets: each clip with so many seeds of the noise, one video at a time; ended and started again, it goes on",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="also write every segment's numbers as CSV")] = None,
) -> None:
    """Make long videos and measure whether identity, lip-sync, detail and what is seen drift from segment to segment: of puppets, or of a model of
    people of rendered people."""
    from evaluation.questions.long_segments import segments_of
    from serving.model_choice import load_model

    given = {"--segments": segments, "--seconds": seconds, "--steps": steps, "--seeds": seeds}
    if recovery and (unused := [name for name, value in given.items() if value is not None]):
        raise CommandError(
            f"{unused[0]} is of long videos; leave it out beside --recovery, which makes nine segments in the model's own steps"
        )
    workspace = open_with()
    config = workspace.profile
    loaded = load_model(workspace, model)
    of_puppets = "--recovery" if recovery else "--seeds"
    if (recovery or seeds is not None) and shows_people(workspace, loaded):
        raise CommandError(f"{of_puppets} is of puppets, and {loaded.name} makes people here; leave {of_puppets} out")
    if seconds is not None:
        segments = segments_of(seconds, config.video.frames, config.video.fps)
    if recovery:
        from evaluation.questions import recovery as recovering

        pipeline = pipeline_of_puppets(workspace, loaded)
        spoiled = recovering.measure_recovery(pipeline, clips, config.video.frames, config.evaluation.seed)
        _show([vars(row) for row in spoiled], recovering.as_markdown(spoiled), output)
    elif seeds is not None:
        _drift_over_seeds(workspace, loaded, clips, seeds, segments or 20, steps, output)
    else:
        _show(*_drift(workspace, loaded, clips, segments or 20, steps), output)


def _show(rows: list[dict[str, Any]], table: str, output: Path | None) -> None:
    import pandas as pd

    from media import write_atomically

    if output is not None:
        write_atomically(output, pd.DataFrame(rows).to_csv(index=False).encode())
    print(table)


def _drift(
    workspace: "Workspace", loaded: "LoadedModel", clips: int, segments: int, steps: int | None
) -> tuple[list[dict[str, Any]], str]:
    """A row for each segment, and the table."""
    config = workspace.profile
    length, seed = config.video.frames, config.evaluation.seed
    if shows_people(workspace, loaded):
        from evaluation.questions import people_drift
        from evaluation.questions.talking_people import side_of_people

        side, eyes = side_of_people(config.video), eyes_for_people(workspace)
        with _bar("segments") as show:
            seen = people_drift.measure_people_drift(
                loaded.pipeline, eyes, clips, segments, length, side, seed, steps, show
            )
        return [row.as_row() for row in seen], people_drift.as_markdown(seen)
    from evaluation.questions.long_video_drift import as_markdown, measure_drift

    with _bar("segments") as show:
        drifted = measure_drift(loaded.pipeline, clips, segments, length, seed, steps, show)
    return [vars(row) for row in drifted], as_markdown(drifted)


def _drift_over_seeds(
    workspace: "Workspace",
    loaded: "LoadedModel",
    clips: int,
    seeds: int,
    segments: int,
    steps: int | None,
    output: Path | None,
) -> None:
    """What is measured is kept until the table is shown."""
    from evaluation.questions.drift_over_seeds import files_of, measure_drift_over_seeds
    from evaluation.questions.kept_videos import holding_alone, kept_name, remove_kept
    from evaluation.questions.long_video_drift import as_markdown

    pipeline = pipeline_of_puppets(workspace, loaded)
    frames, seed = workspace.profile.video.frames, workspace.profile.evaluation.seed
    kept = workspace.scratch("drift") / kept_name(pipeline, segments, frames, seed, steps)
    with holding_alone(kept):
        with _bar("segments") as show:
            drifted = measure_drift_over_seeds(pipeline, clips, seeds, segments, frames, seed, kept, steps, show)
        _show([vars(row) for row in drifted], as_markdown(drifted), output)
        remove_kept(kept, files_of(kept, clips, seeds).values())


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
    if shows_people(workspace, loaded):
        from evaluation.questions.people_following import measure_people_following
        from evaluation.questions.talking_people import side_of_people

        side, eyes = side_of_people(config.video), eyes_for_people(workspace)
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
        benchmark_of_puppets(workspace),
        pipeline_of_puppets(workspace, load_model(workspace, model)),
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
