"""Where `omnihuman ui` serves, and what links on Dagster's pages point at until somebody says otherwise."""

import os

LOOPBACK = "127.0.0.1"
# What a browser on this machine may call it; a name that resolves to loopback must not let a web page of elsewhere in.
LOOPBACK_NAMES = (LOOPBACK, "localhost", "[::1]")
DAGSTER_PORT, REPORTS_PORT, MLFLOW_PORT = 3000, 3001, 5000

# Where people's browsers find MLflow (inside a cluster its server has another name) and the HTML reports.
MLFLOW_PAGES, REPORT_PAGES = "OMNIHUMAN_MLFLOW_PAGES", "OMNIHUMAN_REPORT_PAGES"


def mlflow_pages() -> str:
    """Address before `/#/runs/...`."""
    return os.environ.get(MLFLOW_PAGES) or f"http://{LOOPBACK}:{MLFLOW_PORT}"


def report_pages() -> str:
    """Address before a report's path below the reports' folder."""
    return os.environ.get(REPORT_PAGES) or f"http://{LOOPBACK}:{REPORTS_PORT}"
