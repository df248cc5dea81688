"""Where `omnihuman ui` serves, and what links on Dagster's pages point at."""

import os

LOOPBACK = "127.0.0.1"
# What a browser on this machine may call it; a name that resolves to loopback must not let a web page of elsewhere in.
LOOPBACK_NAMES = (LOOPBACK, "localhost", "[::1]")
DAGSTER_PORT, REPORTS_PORT, MLFLOW_PORT = 3000, 3001, 5000

# Paths on the address of Dagster's pages: what an asset's page links to is right whichever ports the servers have, today and later.
REPORTS_PATH, MLFLOW_PATH = "/reports", "/mlflow"
COVERS = "covers"  # folder below the reports: the picture that each asset's page opens with

# Where people's browsers find MLflow, whose name inside a cluster is another.
MLFLOW_PAGES = "OMNIHUMAN_MLFLOW_PAGES"
# "none" where the code lies on a machine that is nobody's desk, as in an image: no links into it.
CODE_LINKS = "OMNIHUMAN_CODE_LINKS"


def mlflow_pages() -> str:
    """Address before `/#/runs/...`."""
    return os.environ.get(MLFLOW_PAGES) or f"http://{LOOPBACK}:{MLFLOW_PORT}"
