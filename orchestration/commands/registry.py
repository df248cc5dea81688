"""What came from what, what is champion, and past states."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestration.commands.options import CommandError, ProfileOption, SetOption, open_with

PANEL = "Registry and past states"
app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def lineage(
    what: Annotated[str, typer.Argument(help="score, model, clip or video; or a version of the student")] = "model",
    name: Annotated[
        str,
        typer.Argument(
            help="score: distilled_student, ...; model: version, alias, asset or weights digest; clip: id; video: the file"
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="nodes, links and all clips, for programs")] = False,
    page: Annotated[Path | None, typer.Option(help="draw it into this HTML file")] = None,
) -> None:
    """From a score, a model, a clip or a video to everything it was made from and everything that was made from it."""
    from orchestration.past.lineage_answers import as_json as view_as_json
    from orchestration.past.lineage_answers import as_lines, look_up
    from orchestration.past.lineage_page import write_lineage_page

    if what.isdigit():
        what, name = "model", what
    view = look_up(open_with(writes=False), what, name)
    for note in view.notes:
        print(f"note: {note}", file=sys.stderr)
    if page is not None:
        print(write_lineage_page(view, page), file=sys.stderr if as_json else sys.stdout)
    if as_json:
        print(json.dumps(view_as_json(view), indent=1))
    elif page is None:
        for line in as_lines(view):
            print(line)


@app.command(rich_help_panel=PANEL)
def versions(
    teachers: Annotated[bool, typer.Option("--teachers", help="the teachers, which no gate judges")] = False,
) -> None:
    """List the registered versions: aliases, what the gate said and why, scores on held-out puppets, the snapshot."""
    from assets.core.markdown import markdown_table
    from assets.core.names import STUDENT, TEACHER
    from assets.questions.registered_versions import version_rows

    name = TEACHER if teachers else STUDENT
    rows = version_rows(open_with(writes=False), name)
    print(
        markdown_table(rows)
        if rows
        else f"no version of {name} is registered; `omnihuman demo` makes and registers one"
    )


@app.command(rich_help_panel=PANEL)
def decide() -> None:
    """Say whether the nightly schedule would train anew now, and why. Nothing is written."""
    from assets.retraining.refresh import ask

    decision = ask(open_with(writes=False))
    print(decision)
    print(f"a training would begin from {decision.start}: {decision.start_reason}")
    for served in sorted(decision.facts.served, key=lambda served: -served.column.psi):
        column = served.column
        print(
            f"  {column.column:<28} PSI {column.psi:6.3f} of {served.inputs} served inputs ({served.psi_today:.3f} against today's clips)  "
            f"KS {column.ks:.3f} ({column.ks_by_chance:.3f}){'  drifted' if column.drifted else ''}"
        )
    for column in sorted(decision.facts.drift, key=lambda column: -column.psi):
        print(
            f"  {column.column:<28} PSI {column.psi:6.3f} (by chance up to {column.psi_by_chance:.3f})  "
            f"KS {column.ks:.3f} ({column.ks_by_chance:.3f}){'  drifted' if column.drifted else ''}"
        )


@app.command(rich_help_panel=PANEL)
def start(
    begin: Annotated[
        str, typer.Argument(metavar="[scratch|champion]", help="where stages begin; without it only say what is chosen")
    ] = "",
    profile: ProfileOption = None,
    overrides: SetOption = None,
) -> None:
    """Choose where the next training begins: from scratch, or from the champion's teacher."""
    from assets.core.names import CHAMPION, SCRATCH
    from assets.core.training_start import read_start
    from assets.retraining.choose_start import choose_start

    workspace = open_with(profile, overrides)
    if begin not in ("", SCRATCH, CHAMPION):
        raise CommandError(f"training begins from {SCRATCH} or {CHAMPION}, not from {begin!r}")
    chosen = choose_start(workspace, begin) if begin else read_start(workspace)
    print(f"training begins from {chosen or SCRATCH} ({workspace.start})")


@app.command(rich_help_panel=PANEL)
def promote(
    version: Annotated[int, typer.Argument(help="of the student, as the registry counts")],
    override: Annotated[
        str | None, typer.Option(help="promote against the gate, for this reason; it is kept on the version")
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="only say what the gate would do")] = False,
) -> None:
    """Put a version through the gate and make it and its teacher champion; the old ones become previous."""
    from orchestration.past.promoting import promote_version

    for line in promote_version(open_with(), version, override, dry_run):
        print(line)


@app.command(rich_help_panel=PANEL)
def register(
    model: Annotated[
        str,
        typer.Argument(
            help="folder of a whole pipeline (save_pretrained), or of a training's student (data/distilled_student)"
        ),
    ],
    profile: ProfileOption = None,
    overrides: SetOption = None,
) -> None:
    """Register a student that was made elsewhere: it is scored on today's benchmarks and becomes challenger. `omnihuman promote` then asks the gate."""
    from assets.kinds.registration.by_hand import register_by_hand
    from serving.model_choice import load_model

    workspace = open_with(profile, overrides)
    loaded = load_model(workspace, model, keep_dtype=True)

    def report(done: int, total: int, note: str) -> None:
        print(f"[{done}/{total}] {note}", flush=True)

    version = register_by_hand(workspace, loaded.pipeline, model, loaded.snapshot, loaded.trained_on, report)
    print(f"version {version} is challenger; `omnihuman promote {version} --dry-run` says what the gate would do")


@app.command(rich_help_panel=PANEL)
def rollback(reason: Annotated[str, typer.Option(help="kept on the version that is left")] = "by hand") -> None:
    """Give alias champion back to the previous champion and its teacher."""
    from orchestration.past.promoting import roll_back

    for line in roll_back(open_with(), reason):
        print(line)


@app.command(rich_help_panel=PANEL)
def restore(
    state: Annotated[
        str,
        typer.Argument(
            help="digits of a snapshot, of a student's weights or of a score table; or 3, NAME:3, champion. Without it all states are listed"
        ),
    ] = "",
    into: Annotated[
        Path | None, typer.Option(help="new folder that becomes a workspace of its own; default this workspace")
    ] = None,
    code: Annotated[
        Path | None, typer.Option(help="also check out the code of that time here, as a git worktree")
    ] = None,
    force: Annotated[bool, typer.Option(help="also lose files that DVC's cache has not got")] = False,
    leave: Annotated[
        list[str] | None,
        typer.Option(help="asset that stays in the remote (again for more); trainings read condition_features there"),
    ] = None,
) -> None:
    """Bring back data, checkpoints and scores of a past snapshot, model version or score."""
    from assets.past.restore_points import keep_restore_point, restore_points
    from orchestration.past.restoring import UNCOMMITTED, get_code
    from orchestration.past.restoring import restore as bring_back

    workspace = open_with()
    if not state:
        keep_restore_point(workspace)
        for point in restore_points(workspace):
            print(f"{point.name:<40} {point}")
        return
    done = bring_back(workspace, state, into, force, tuple(leave or ()))
    print(f"{done.root} holds {done.point}")
    if into is not None:
        print(f"work on it: OMNIHUMAN_HOME={done.root} OMNIHUMAN_PROFILE={done.root / 'profile.yaml'} omnihuman demo")
    if done.outdated:
        print(
            f"today's code or settings would make anew: {', '.join(done.outdated)}; the code of that time is {done.point.code}"
        )
    for note in done.notes:
        print(f"note: {note}")
    if code is not None:
        print(f"code of {done.point.code} in {get_code(done.point.code, code)}")
        if done.point.code.endswith(UNCOMMITTED):
            print("note: it had changes beside that commit, which version control has not got")


@app.command(rich_help_panel=PANEL)
def push() -> None:
    """Bring every restore point that the DVC remote has not got to it ($OMNIHUMAN_REMOTE, by default a folder under var)."""
    from assets.core.dvc_stages import ensure_repository
    from assets.past.dvc_remote import push_restore_points
    from assets.past.restore_points import keep_restore_point

    workspace = open_with()
    ensure_repository(workspace)
    keep_restore_point(workspace)
    pushed = push_restore_points(workspace)
    for name in pushed.done:
        print(f"pushed {name}")
    print(pushed)
    raise typer.Exit(1 if pushed.waiting else 0)
