"""`omnihuman verify`: did we make this file, and is it as we made it?"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

PANEL = "Videos"
app = typer.Typer()


@app.command(rich_help_panel=PANEL)
def verify(
    files: Annotated[list[Path], typer.Argument(help="mp4, PNG, or any other files")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON list, for programs")] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(help="PEM of whose signatures are ours; default this machine's and $OMNIHUMAN_TRUSTED"),
    ] = None,
) -> None:
    """Say of each file whether we made it and whether it was changed since. Exit code 0: all untouched; 1: some could not be read; 3: some changed; 4: no mark found, which proves nothing."""
    from provenance.outcomes import Unread, exit_code
    from provenance.verify import verify_each

    answers = []
    for answer in verify_each(files, certificate):
        answers.append(answer)
        if isinstance(answer, Unread):
            print(f"error: {answer.error}", file=sys.stderr, flush=True)
        elif not as_json:
            print("\n".join(answer.lines()), flush=True)
    if as_json:
        print(json.dumps([answer.record() for answer in answers], indent=1))
    raise typer.Exit(exit_code(answers))
