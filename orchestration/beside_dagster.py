"""What Dagster's address shows beside Dagster: the reports at `/reports`, and at `/mlflow` the way to MLflow, wherever it is today.

Links of assets' pages are kept with their runs for ever, and ports change; so they are paths on the address that shows them.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from assets.core.addresses import MLFLOW_PATH, REPORTS_PATH, mlflow_pages
from orchestration.report_pages import build_app


class BesideDagster:
    """Dagster's app, and before it the reports of a folder and the way to MLflow."""

    def __init__(self, dagster: ASGIApp, reports: Path):
        self.dagster = dagster
        ways = [Route(path, _to_mlflow) for path in (MLFLOW_PATH, f"{MLFLOW_PATH}/")]
        self.own = Starlette(routes=[*ways, Mount(REPORTS_PATH, build_app(reports))])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to whose it is."""
        first = "/" + scope["path"].split("/")[1] if scope["type"] == "http" else ""
        await (self.own if first in (MLFLOW_PATH, REPORTS_PATH) else self.dagster)(scope, receive, send)


def _to_mlflow(request: Request) -> RedirectResponse:
    # A browser carries what stands behind "#", MLflow's own path, over to where it is sent.
    return RedirectResponse(f"{mlflow_pages()}/")
