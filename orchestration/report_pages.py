"""The HTML reports as an app: a list of them, and every file."""

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from media.pages import render
from orchestration.report_index import ReportIndex

# Pages are written here and hold no script; what a clip's name or caption brings in must find nothing to run, and no form that
# asks Dagster, whose address they share. Only the list has one, for its search.
POLICY = "default-src 'none'; img-src 'self' data:; media-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; "


def _headers(forms: str) -> dict[str, str]:
    return {"Cache-Control": "no-cache", "Content-Security-Policy": f"{POLICY}form-action {forms}"}


class Pages(StaticFiles):
    """Files that a browser asks after each time, and runs nothing of."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The file, or that it has not changed."""
        answer = super().file_response(*args, **kwargs)
        answer.headers.update(_headers("'none'"))
        return answer


def build_app(folder: Path) -> Starlette:
    """Every file below `folder`, and a list of the pages, newest first. Nothing outside it: links out of it are not followed."""
    folder.mkdir(parents=True, exist_ok=True)
    index = ReportIndex(folder)

    def pages(request: Request) -> HTMLResponse:
        asked = request.query_params
        number = asked.get("page", "1")
        shown = index.page(asked.get("asset", ""), asked.get("find", ""), int(number) if number.isdecimal() else 1)
        return HTMLResponse(
            render("orchestration", "reports.html", title="Reports, newest first", **shown), headers=_headers("'self'")
        )

    return Starlette(routes=[Route("/", pages), Mount("/", Pages(directory=folder))])
