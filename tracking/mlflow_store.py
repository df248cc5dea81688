"""Where MLflow keeps things and how it is reached: settings that are safe, a client, its health. Light until a client is made."""

import os
import sqlite3
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from tracking.moved_store import MovedStoreError, earlier_places, follow

# Before mlflow is imported: nothing here loads pickles, and nothing is sent anywhere.
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

SQLITE = "sqlite:///"
ADDRESS = "MLFLOW_TRACKING_URI"  # of the store, where the user names one
TIMEOUT = 5.0  # seconds that a question after a store's health takes at most


def store_address(default: Path) -> str:
    """What the user names by `$MLFLOW_TRACKING_URI`, else the sqlite store in file `default`."""
    return os.environ.get(ADDRESS) or f"{SQLITE}{default}"


def store_file(uri: str) -> Path | None:
    """The file of a sqlite store; None for a server."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def connect(uri: str) -> "MlflowClient":
    """A client for runs and registry at the same address.

    Raises:
        tracking.moved_store.MovedStoreError: a sqlite store that was brought here without its files.
    """
    file = store_file(uri)
    if file is not None:
        follow(file)
    from mlflow.tracking import MlflowClient

    point_mlflow_at(uri)
    return MlflowClient(uri, uri)


def point_mlflow_at(uri: str) -> None:
    """Make a store the one that mlflow's own functions ask: registering and downloading a model go past the client.

    A sqlite store's folder is made.
    """
    import mlflow

    file = store_file(uri)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
    given = os.environ.get(ADDRESS)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    # mlflow writes the address into the environment; there it would look like the user's choice, for every workspace.
    if given is None:
        os.environ.pop(ADDRESS, None)
    else:
        os.environ[ADDRESS] = given


def run_page(pages: str, run_id: str) -> str:
    """Where people look at a run, below the address of MLflow's pages."""
    return f"{pages}/#/runs/{run_id}"


def version_page(pages: str, name: str, version: int) -> str:
    """Where people look at a version of a registered model, below the same address."""
    return f"{pages}/#/models/{name}/versions/{version}"


def store_health(uri: str) -> tuple[bool, str]:
    """Whether a store is sound, and what to say of it. A sqlite file is checked page by page, a server asked for its health."""
    file = store_file(uri)
    if file is not None:
        if not file.is_file():
            return True, f"{file}: empty; the first training makes it"
        fault = sqlite_fault(file)
        if fault:
            return False, f"{file}: {fault}; restore it from a backup"
        try:
            moved = earlier_places(file)
        except MovedStoreError as error:
            return False, str(error)
        return True, str(file) + "".join(f"; this home was at {place.parent}, and its paths follow" for place in moved)
    if not uri.startswith(("http://", "https://")):
        return True, f"{uri.split(':')[0]} store; not looked into"
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=TIMEOUT).close()
    except OSError as error:
        return False, f"{uri} does not answer ({error}); start the server, or unset {ADDRESS} for the local store"
    return True, uri


def sqlite_fault(path: Path) -> str:
    """What is wrong with a database file, or nothing."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=TIMEOUT)
        try:
            (answer,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        return "" if "locked" in str(error) else str(error)  # somebody writes: it is in use, not broken
    return "" if answer == "ok" else str(answer)
