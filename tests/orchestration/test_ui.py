"""`omnihuman ui` serves both addresses on loopback from any root, with the code location loaded, and takes all down."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).resolve().parents[2]
LOADED = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"


def test_both_servers_answer_and_end_with_the_command(tmp_path: Path) -> None:
    environment = os.environ | {"OMNIHUMAN_HOME": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-m", "orchestration.cli", "ui", "--dagster-port", "3917", "--mlflow-port", "5917"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as served:
        try:
            addresses = {}
            assert served.stdout is not None
            for line in served.stdout:
                if line.startswith(("Dagster ", "MLflow ")):
                    name, address = line.split()
                    addresses[name] = address
                if "Ctrl-C" in line:
                    break
            assert all(address.startswith("http://127.0.0.1:") for address in addresses.values())
            assert set(addresses) == {"Dagster", "MLflow"}
            assert _location(addresses["Dagster"]) == "RepositoryLocation"
        finally:
            served.send_signal(signal.SIGTERM)
            code = served.wait(timeout=60)
    assert code == 0
    for address in addresses.values():
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(address, timeout=2)


def _location(address: str) -> str:
    """What Dagster says of the project's code location, once it has tried to load it."""
    for _ in range(60):
        body = json.dumps({"query": LOADED}).encode()
        request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            entries = json.load(answer)["data"]["workspaceOrError"]["locationEntries"]
        if entries and entries[0]["locationOrLoadError"]:
            return entries[0]["locationOrLoadError"]["__typename"]
        time.sleep(1)
    return "not loaded"
