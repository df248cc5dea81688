"""`python -m orchestration.report_server FOLDER --port PORT`: the HTML reports, for the links on Dagster's pages."""

from pathlib import Path

from media.user_error import exit_code
from orchestration.report_pages import build_app
from serving.http.http_server import page_arguments, run_pages


def main() -> int:
    """Serve until SIGTERM or Ctrl-C."""
    parser = page_arguments(__doc__)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    try:
        return run_pages(build_app(given.folder), given)
    except Exception as error:
        return exit_code(error)


if __name__ == "__main__":
    raise SystemExit(main())
