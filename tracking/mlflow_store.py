"""Where MLflow keeps things and how it is reached: settings that are safe, one client for runs and registry."""

import os
from pathlib import Path

# Before mlflow is imported: nothing here loads pickles, and nothing is sent anywhere.
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

SQLITE = "sqlite:///"
ADDRESS = "MLFLOW_TRACKING_URI"  # of the store, where the user names one


def connect(tracking_uri: str) -> MlflowClient:
    """A client for runs and registry at the same address; a sqlite store's folder is made."""
    if tracking_uri.startswith(SQLITE):
        Path(tracking_uri.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    given = os.environ.get(ADDRESS)
    mlflow.set_tracking_uri(tracking_uri)
    mlflow.set_registry_uri(tracking_uri)
    # mlflow writes the address into the environment; there it would look like the user's choice, for every workspace.
    if given is None:
        os.environ.pop(ADDRESS, None)
    else:
        os.environ[ADDRESS] = given
    return MlflowClient(tracking_uri, tracking_uri)


def experiment_id(client: MlflowClient, tracking_uri: str, name: str) -> str:
    """The experiment's id; it is made on first use. Artifacts of a sqlite store lie in `mlartifacts` beside it."""
    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    location = None
    if tracking_uri.startswith(SQLITE):
        location = (Path(tracking_uri.removeprefix(SQLITE)).resolve().parent / "mlartifacts").as_uri()
    try:
        return client.create_experiment(name, artifact_location=location)
    except MlflowException:
        # Two processes asked at once and the other one made it.
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id
