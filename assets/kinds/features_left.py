"""Features that lie in DVC's remote alone, where `omnihuman restore --leave condition_features` left them."""

import pandas as pd

from assets.core.dvc_lock import DvcLock
from assets.core.dvc_repository import open_repository
from assets.core.names import LOCK
from assets.core.workspace import Workspace

FEATURES = "condition_features"


def features_left(workspace: Workspace) -> str:
    """`REMOTE#HASH.dir` where shards of the snapshot have no features here and dvc.lock says which there are; else empty."""
    samples, lock = workspace.data("training_snapshot") / "samples.parquet", workspace.root / LOCK
    if not (samples.is_file() and lock.is_file() and (workspace.root / ".dvc").is_dir()):
        return ""
    shards = pd.read_parquet(samples, columns=["shard"])["shard"].unique()
    if all((workspace.data(FEATURES, str(shard)) / "samples.parquet").is_file() for shard in shards):
        return ""
    stages, remote = DvcLock.read(lock).stages, remote_address(workspace)
    return f"{remote}#{stages[FEATURES].made}" if remote and FEATURES in stages else ""


def remote_address(workspace: Workspace) -> str:
    """The remote that the home's DVC is configured with, empty for none."""
    with open_repository(workspace.root) as repo:
        name = repo.config["core"].get("remote")
        return str(repo.config["remote"].get(name, {}).get("url", "")) if name else ""
