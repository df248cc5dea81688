"""What Dagster's address shows beside Dagster: the reports at `/reports`, and at `/mlflow` the way to MLflow, wherever it is today.

Links of assets' pages are kept with their runs for ever, and ports change; so they are paths on the address that shows them.
"""

from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from assets.core.addresses import MLFLOW_PATH, REPORTS_PATH, mlflow_pages
from orchestration.report_server import build_app


def beside_dagster(dagster: ASGIApp, reports: Path) -> Starlette:
    """Dagster's app with the reports of a folder, and the way to MLflow, before it."""

    def to_mlflow(request: Request) -> RedirectResponse:
        # A browser carries what stands behind "#", MLflow's own path, over to where it is sent.
        return RedirectResponse(f"{mlflow_pages()}/")

    return Starlette(
        routes=[
            Route(MLFLOW_PATH, to_mlflow),
            Route(f"{MLFLOW_PATH}/", to_mlflow),
            Mount(REPORTS_PATH, build_app(reports)),
            Mount("/", dagster),
        ]
    )
