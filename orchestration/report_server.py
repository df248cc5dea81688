"""`python -m orchestration.report_server FOLDER --port PORT`: the HTML reports, for the links on Dagster's pages."""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from media.pages import render
from media.user_error import exit_code
from serving.http_server import page_arguments, run_pages


def build_app(folder: Path) -> Starlette:
    """Every page below `folder`, and a list of them, newest first. Nothing outside it: links out of it are not followed."""

    def pages(request: Request) -> HTMLResponse:
        found = sorted(folder.rglob("*.html"), key=lambda path: path.stat().st_mtime, reverse=True)
        names = [path.relative_to(folder).as_posix() for path in found]
        return HTMLResponse(render("orchestration", "reports.html", title="Reports, newest first", names=names))

    folder.mkdir(parents=True, exist_ok=True)
    return Starlette(routes=[Route("/", pages), Mount("/", StaticFiles(directory=folder))])


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
