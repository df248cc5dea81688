"""Clips: into the inbox, out of it again, into test sets; which of them train what."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.light_group import LightGroup
from orchestration.commands.options import CommandError, ProfileOption, SetOption, open_here, open_with

PANEL = "Data"
app = typer.Typer()
subsets_app = typer.Typer(cls=LightGroup, help="Which clips train which conditions, and why.", no_args_is_help=True)
app.add_typer(subsets_app, name="subsets", rich_help_panel=PANEL)
features_app = typer.Typer(cls=LightGroup, help="What clips were encoded to.", no_args_is_help=True)
app.add_typer(features_app, name="features", rich_help_panel=PANEL)
testset_app = typer.Typer(cls=LightGroup, help="Frozen test sets, disjoint from training.", no_args_is_help=True)
app.add_typer(testset_app, name="testset", rich_help_panel=PANEL)


@app.command(rich_help_panel=PANEL)
def ingest(
    folder: Annotated[
        str,
        typer.Argument(
            help="your clips, a folder or an fsspec URL (s3://bucket/clips); captions, licence, source, identity and consent beside them as FILE.json"
        ),
    ],
) -> None:
    """Copy a folder's clips into the inbox; the sensor (or `omnihuman demo`) makes shards of them."""
    from curation.intake.inbox import ingest_folder
    from curation.intake.remote_inbox import fetch_remote, is_remote, local_name

    workspace = open_with()
    if is_remote(folder):
        fetched = fetch_remote(folder, workspace.inbox / local_name(folder))
        for name, why in fetched.refused.items():
            print(f"not copied: {name}: {why}", file=sys.stderr)
        copied: tuple[Path, ...] | list[Path] = fetched.paths
    else:
        copied = ingest_folder(Path(folder), workspace.inbox)
    print(f"{len(copied)} files copied into {workspace.inbox}")


@app.command(rich_help_panel=PANEL)
def curate(profile: ProfileOption = None, overrides: SetOption = None) -> None:
    """From the inbox to subsets, without training: shards, scores, and what each clip may train. `omnihuman demo` goes on from there."""
    from orchestration.demo.curate import run_curation

    run_curation(open_with(profile, overrides))


@app.command(rich_help_panel=PANEL)
def withdraw(
    target: Annotated[str, typer.Argument(help="clip id, or a source_name, source or identity of clips.parquet")],
    reason: Annotated[str, typer.Option(help="why; it stays in tombstones.jsonl")] = "",
    dry_run: Annotated[bool, typer.Option(help="only list what saw the clips")] = False,
) -> None:
    """Keep clips out of every later snapshot, and list each snapshot, checkpoint, version and score that saw them."""
    from orchestration.past.withdrawing import exposure_of, withdraw_clips

    workspace = open_with()
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
    local_copy: Annotated[Path | None, typer.Argument(help="folder of the set; none for packaged and held_out")] = None,
    kind: Annotated[
        str, typer.Option(help="celebv-hq, ravdess, cyberhost, emtd, folder, packaged, or held_out")
    ] = "folder",
    name: Annotated[str | None, typer.Option(help="of the test set; default the kind")] = None,
    limit: Annotated[int | None, typer.Option(help="at most so many samples, as many people as possible")] = None,
    exclude_overlap: Annotated[bool, typer.Option(help="leave out what meets training instead of refusing")] = False,
    pose: Annotated[bool, typer.Option(help="find each sample's pose with the profile's keypoint detector")] = True,
    windows: Annotated[
        int | None, typer.Option(min=1, help="at most so many windows of a clip; default 1, of packaged ones 8")
    ] = None,
    profile: ProfileOption = None,
    overrides: SetOption = None,
) -> None:
    """Freeze windows of a local copy's clips into data/test_sets/NAME: clip, reference image, sound and pose of each."""
    from orchestration.commands.build_test_set import build

    made = build(open_with(profile, overrides), kind, local_copy, name, limit, exclude_overlap, pose, windows)
    for file, why in made.skipped.items():
        print(f"left out: {file}: {why}")
    print(
        f"{made.path}: {len(made)} samples of {made.manifest['identity'].nunique()} people, digest {made.digest[:12]}"
    )


@features_app.command("convert")
def features_convert(profile: ProfileOption = None, overrides: SetOption = None) -> None:
    """Lay out features of an earlier version anew: the same numbers in fewer bytes. Nothing that stands is encoded again, a shard stands whole
    or as it was, and the command goes on where it was stopped. `--set encoders.latents=int8` rounds latents to 8 bits, and hidden
    states of sound that `encoders.audio_states` does not list are left out, both for good.
    """
    from assets.core.catalogue import STEPS
    from assets.kinds.condition_features import laid_out_otherwise
    from assets.make.execute import execute

    workspace = open_with(profile, overrides)
    shards = laid_out_otherwise(workspace)
    for number, shard in enumerate(shards, start=1):
        made = execute(workspace, STEPS["condition_features"], shard).metadata
        print(
            f"{shard}: {made['samples']} samples, {made['encoded']} encoded, {made['bytes']:,} bytes ({number} of {len(shards)})"
        )
    if not shards:
        print("all features are laid out as this version writes them")


@subsets_app.command("explain")
def subsets_explain(clip_id: str) -> None:
    """Print each score of a clip, and each clause of the subset predicates with its threshold and verdict."""
    import pandas as pd

    from assets.kinds.detectors import unread_people
    from curation.subsets.nested_subsets import explain

    workspace = open_with()
    for shard in workspace.shards("clip_scores"):
        raw, scored = (
            workspace.data("raw_clips", shard) / "clips.parquet",
            workspace.data("clip_scores", shard) / "scores.parquet",
        )
        if not pd.read_parquet(raw, columns=["clip_id"])["clip_id"].str.startswith(clip_id).any():
            continue
        verdicts = explain(clip_id, raw, scored, workspace.profile.curation)
        scores = pd.read_parquet(scored)
        for verdict in verdicts:
            values = ", ".join(f"{name} = {value}" for name, value in verdict.values.items())
            print(f"{verdict.subset:<6} {'holds' if verdict.passed else 'FAILS'}  {verdict.clause:<40} {values}")
        if note := unread_people(workspace.profile, scores[scores["clip_id"].str.startswith(clip_id)]):
            print(f"note: {note}")
        print("other scores")
        decided = {name for verdict in verdicts for name in verdict.values}
        row = scores[scores["clip_id"].str.startswith(clip_id)].iloc[0]
        for name in [name for name in scores if name not in decided]:
            print(f"       {name:<28} {row[name]}")
        return
    raise CommandError(f"no scored clip {clip_id}; ids are in data/raw_clips/*/clips.parquet")


@subsets_app.command("sweep")
def subsets_sweep(
    overrides: SetOption = None,
    output: Annotated[
        Path | None, typer.Option(help="folder for sweep.png, sweep.csv and sweep.html; default var/reports/sweep")
    ] = None,
) -> None:
    """Keep-rate and hours of each condition as each threshold moves, over all shards. No score is computed."""
    from assets.questions.subset_questions import write_sweep

    workspace = open_here(overrides)
    folder = output or workspace.var / "reports" / "sweep"
    for line in write_sweep(workspace, folder):
        print(line)


@subsets_app.command("count")
def subsets_count(overrides: SetOption = None) -> None:
    """Clips and hours of each condition over all shards. Try a threshold: --set 'curation.text=motion >= 0.02'."""
    from assets.questions.subset_questions import count_lines

    for line in count_lines(open_here(overrides)):
        print(line)


@subsets_app.command("accuracy")
def subsets_accuracy(
    per_kind: Annotated[int, typer.Option(help="clips of each kind")] = 40, profile: ProfileOption = None
) -> None:
    """Precision and recall of each subset on puppets, or rendered people where the demo has them, that keep or break one rule each."""
    from assets.core.markdown import markdown_table
    from assets.questions.subset_accuracy import measure_accuracy

    print(
        markdown_table([found.row() for found in measure_accuracy(open_with(profile, writes=False).profile, per_kind)])
    )
