"""`python -m orchestration.mlflow_server --port PORT --store URI --artifacts FOLDER`: MLflow's pages and API.

`mlflow server` starts uvicorn with an app of its own, and takes requests of every page on this machine, whoever wrote it. This sets what that
command sets for its app, and puts the check of who asks before it: there is no port behind.
"""

import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from starlette.types import ASGIApp

from assets.core.addresses import LOOPBACK_NAMES
from media.user_error import exit_code
from orchestration.mlflow_front_page import FrontPage
from serving.http.http_server import page_arguments, run_pages
from tracking import mlflow_store as _settings  # noqa: F401 - sets what mlflow reads at import


def build_app(store: str, artifacts: str, allowed: Sequence[str] = ()) -> ASGIApp:
    """MLflow's app; one per process, for it reads the environment when it is imported.

    Args:
        store: address of the database, which is brought up to date.
        artifacts: folder or address into which the server puts what clients hand it.
        allowed: names of this server beside this machine's own.
    """
    from mlflow.environment_variables import (
        _MLFLOW_IN_JOB_EXECUTOR,
        _MLFLOW_SERVER_BOOT_ID,
        _MLFLOW_SGI_NAME,
        MLFLOW_SERVER_ALLOWED_HOSTS,
        MLFLOW_SERVER_CORS_ALLOWED_ORIGINS,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION,
    )

    # MLflow looks too, and reads at import for whom: Host by patterns, pages of other origins than this machine's by their address.
    names = [name.replace("[", "[[]") for name in (*LOOPBACK_NAMES, *allowed)]
    os.environ[MLFLOW_SERVER_ALLOWED_HOSTS.name] = ",".join([*names, *(f"{name}:*" for name in names)])
    if allowed:
        origins = (f"{scheme}://{name}" for name in allowed for scheme in ("http", "https"))
        os.environ[MLFLOW_SERVER_CORS_ALLOWED_ORIGINS.name] = ",".join(origins)
    from mlflow.server import constants

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.REGISTRY_STORE_URI_ENV_VAR: store,
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.ARTIFACTS_DESTINATION_ENV_VAR: artifacts,
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        _MLFLOW_SGI_NAME.name: "uvicorn",
        _MLFLOW_SERVER_BOOT_ID.name: uuid.uuid4().hex,
        _MLFLOW_IN_JOB_EXECUTOR.name: "false",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION.name: "false",  # nothing here uses its background jobs
    }
    from mlflow.server.handlers import initialize_backend_stores

    initialize_backend_stores(store, store, "mlflow-artifacts:/")
    from mlflow.server import REL_STATIC_DIR
    from mlflow.server.fastapi_app import app

    return FrontPage(app, Path(constants.__file__).parent / REL_STATIC_DIR / "index.html")


def main() -> int:
    """Serve until SIGTERM or Ctrl-C."""
    parser = page_arguments(__doc__)
    parser.add_argument("--store", required=True, help="address of the database")
    parser.add_argument("--artifacts", required=True, help="folder or address for artifacts")
    given = parser.parse_args()
    try:
        return run_pages(build_app(given.store, given.artifacts, given.allow_host), given)
    except Exception as error:
        return exit_code(error)


if __name__ == "__main__":
    sys.exit(main())
