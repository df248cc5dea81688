"""`python -m orchestration.dagster_server --port PORT`: Dagster's pages, shown to themselves alone, and beside them the reports.

`dagster-webserver` itself looks at neither Host nor Origin, and its GraphQL takes a mutation out of a foreign page's form or picture. It
has no setting for that, so this builds the same app and puts the check before it: there is no port behind.
"""

import sys
from pathlib import Path

from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget, WorkspaceFileTarget, WorkspaceLoadTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.cli import DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_MAX_OVERFLOW, DEFAULT_POOL_RECYCLE
from dagster_webserver.version import __version__

from assets.core.workspace import open_workspace
from media.user_error import UserError, exit_code
from orchestration.beside_dagster import BesideDagster
from serving.http.http_server import page_arguments, run_pages

DEFINITIONS = "orchestration.definitions"
POLL_MILLISECONDS = 2000  # `dagster-webserver`'s own


def main() -> int:
    """Serve until SIGTERM or Ctrl-C."""
    parser = page_arguments(__doc__)
    parser.add_argument(
        "--workspace", type=Path, help=f"workspace.yaml of code servers (default: loads {DEFINITIONS} itself)"
    )
    given = parser.parse_args()
    try:
        target = load_target(given.workspace)
        with DagsterInstance.get() as instance:
            instance.optimize_for_webserver(
                DEFAULT_DB_STATEMENT_TIMEOUT, DEFAULT_POOL_RECYCLE, DEFAULT_POOL_MAX_OVERFLOW
            )
            with WorkspaceProcessContext(instance, target, version=__version__) as context:
                dagster = create_app_from_workspace_process_context(context, "", POLL_MILLISECONDS)
                return run_pages(BesideDagster(dagster, open_workspace().reports), given)
    except Exception as error:
        return exit_code(error)


def load_target(workspace: Path | None) -> WorkspaceLoadTarget:
    """Which code locations are shown.

    Raises:
        UserError: no such file.
    """
    if workspace is None:
        return ModuleTarget(DEFINITIONS, None, None, None)
    if not workspace.is_file():
        raise UserError(f"{workspace}: no such file; name Dagster's workspace.yaml")
    return WorkspaceFileTarget([str(workspace)])


if __name__ == "__main__":
    sys.exit(main())
