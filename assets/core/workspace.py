"""Where everything lies: the paths of one root folder, and the profile it is worked with."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from profiles import Profile, load_profile
from profiles.judging import benchmark_folder
from tracking.mlflow_store import store_address

if TYPE_CHECKING:
    from tracking.registry import Registry
    from tracking.tracker import Tracker

HOME_VARIABLE = "OMNIHUMAN_HOME"
INBOX_VARIABLE = "OMNIHUMAN_INBOX"
TOMBSTONES = "tombstones.jsonl"
START = "start.json"
REPORTS = "reports"
DIGITS = 12  # of a digest, where it names a folder


@dataclass(frozen=True)
class Workspace:
    """`root` holds inbox, data, var and dvc.yaml; `profile` configures every asset."""

    root: Path
    profile: Profile

    @property
    def inbox(self) -> Path:
        """Dropped clips."""
        return self.root / "inbox"

    @property
    def tombstones(self) -> Path:
        """Withdrawn clips, one a line; under version control."""
        return self.root / TOMBSTONES

    @property
    def start(self) -> Path:
        """Where the training stages begin, `assets.core.training_start`; under version control."""
        return self.root / START

    @property
    def var(self) -> Path:
        """State that is no product: Dagster home, MLflow store, running training, logs."""
        return self.root / "var"

    @property
    def dagster_home(self) -> Path:
        """Dagster's instance."""
        return self.var / "dagster"

    @property
    def logs(self) -> Path:
        """Logs of demo and services."""
        return self.var / "logs"

    @property
    def tracking_uri(self) -> str:
        """The tracker's address: `$MLFLOW_TRACKING_URI`, by default the sqlite store under `var`."""
        return store_address(self.var / "mlflow.db")

    @cached_property
    def tracker(self) -> "Tracker":
        """Runs, in the store at `tracking_uri` as it was when this was first asked for."""
        from tracking.tracker import Tracker

        return Tracker(self.tracking_uri)

    @cached_property
    def registry(self) -> "Registry":
        """Registered models, in the same store."""
        from tracking.registry import Registry

        return Registry(self.tracker)

    def data(self, asset: str, shard: str | None = None) -> Path:
        """The output folder of an asset, or of one shard of it."""
        folder = self.root / "data" / asset
        return folder if shard is None else folder / shard

    def of_benchmark(self, asset: str, benchmark: str | None = None) -> Path:
        """The part of `benchmark_sets`, `generated_videos` or `baseline_comparison` that is about one benchmark, by default the profile's first."""
        return self.data(asset) / benchmark_folder(benchmark or self.profile.evaluation.benchmarks[0])

    @property
    def file_hashes(self) -> Path:
        """Hashes of large files, see `media.features.hash_store`."""
        return self.var / "file_hashes.db"

    @property
    def reports(self) -> Path:
        """HTML pages of assets."""
        return self.var / REPORTS

    def report_page(self, asset: str, shard: str | None = None) -> Path:
        """The HTML page of an asset, or of one shard of it."""
        return self.reports / asset / f"{shard or 'whole'}.html"

    def progress(self, asset: str, shard: str | None = None) -> Path:
        """Live progress of running work."""
        return self.var / "progress" / (f"{asset}.json" if shard is None else f"{asset}-{shard}.json")

    def scratch(self, asset: str) -> Path:
        """State of unfinished work; removed when the asset is done and recorded."""
        return self.var / "runs" / asset

    def record(self, asset: str, shard: str | None = None) -> Path:
        """What the last finished execution was made from."""
        return self.var / "records" / asset / f"{shard or 'whole'}.json"

    @property
    def states(self) -> Path:
        """What `omnihuman restore` goes back to, a folder for each snapshot: small text that belongs under version control."""
        return self.root / "snapshots"

    def state(self, digest: str) -> Path:
        """The folder of the snapshot with this digest."""
        return self.states / digest[:DIGITS]

    def shards(self, asset: str = "raw_clips") -> list[str]:
        """Names of the shards that an asset has, sorted."""
        folder = self.data(asset)
        return sorted(path.name for path in folder.glob("s-*") if path.is_dir()) if folder.is_dir() else []


def default_root() -> Path:
    """`$OMNIHUMAN_HOME`, by default the folder that holds the project's dvc.yaml."""
    given = os.environ.get(HOME_VARIABLE)
    return Path(given).resolve() if given else Path(__file__).resolve().parents[2]


def open_workspace(profile: str | None = None, overrides: list[str] | None = None) -> Workspace:
    """The workspace of this process's environment.

    Raises:
        profiles.ProfileError: unknown profile or key.
    """
    return Workspace(default_root(), load_profile(profile, overrides))
