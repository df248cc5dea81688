"""A workspace is light until its tracker is asked."""

import subprocess
import sys

from assets.core.workspace import Workspace
from profiles import load_profile

ASK_NOTHING = """
import sys
from pathlib import Path
from assets.core.workspace import Workspace
from profiles import load_profile
workspace = Workspace(Path(sys.argv[1]), load_profile("laptop", []))
print(workspace.tracking_uri, "mlflow" in sys.modules)
"""


def test_opening_a_workspace_imports_no_mlflow(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    command = [sys.executable, "-c", ASK_NOTHING, str(tmp_path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert printed == [f"sqlite:///{tmp_path}/var/mlflow.db", "False"]


def test_tracker_and_registry_are_one_store_at_the_address_that_the_user_names(tmp_path, monkeypatch):
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere.db")
    assert workspace.tracker.uri == f"sqlite:///{tmp_path}/elsewhere.db" and not workspace.tracker.exists()
    assert workspace.registry.tracker is workspace.tracker and workspace.registry.versions_with_snapshots(("m",)) == []
    assert list(tmp_path.iterdir()) == []
