"""What an asset is, apart from any framework: who makes it, what it reads, and what makes its result out of date."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assets.core.workspace import Workspace
from media.user_error import UserError

if TYPE_CHECKING:
    from curation.features.encoders import Encoders
    from curation.workers import OverClips
    from training.run.launch import Process

Report = Callable[[int, int, str], None]  # done, total, note


class AssetError(UserError):
    """An asset that cannot be made; the message names the file and the remedy."""


@dataclass(frozen=True)
class Png:
    """A picture for the asset's page."""

    data: bytes


@dataclass(frozen=True)
class Picture:
    """A picture that stands in a file below the reports, where every page of Dagster finds it, and small in another."""

    path: Path
    small: Path


@dataclass(frozen=True)
class Fixed:
    """A number that inputs and settings decide: shown, and not plotted over time."""

    value: int | float


@dataclass(frozen=True)
class Markdown:
    """Formatted text for the asset's page."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows for the asset's page; every row has the same keys."""

    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Columns:
    """A table's columns for the asset's page: what each holds, what it means, and the (asset, column) pairs that it was computed from."""

    kinds: Mapping[str, str]
    sources: Mapping[str, tuple[tuple[str, str], ...]]
    meanings: Mapping[str, str]


Shown = (
    int | float | str | bool | Path | Png | Picture | Fixed | Markdown | Table | Columns | dict[str, Any] | list[Any]
)
Metadata = Mapping[str, Shown]


@dataclass(frozen=True)
class Check:
    """Whether a product may be read by what comes after it. `message` says what was counted."""

    name: str
    passed: bool
    message: str


class Launcher(Protocol):
    """Runs another process, here or elsewhere, to its end and raises when it fails."""

    def __call__(self, process: "Process") -> None: ...


class Elsewhere(Protocol):
    """Does the heavy part of a shard's step on a cluster, and returns what it reported there, a `report`."""

    def __call__(self, execution: "Execution", report: type) -> Any: ...


@dataclass(frozen=True)
class Workers:
    """Who works on a shard's clips: `over_clips` decodes and scores; None loads the encoders in this process."""

    over_clips: "OverClips"
    encoders: "Encoders | None" = None


@dataclass(frozen=True)
class Execution:
    """One execution of the step `name`: where, of which shard, whom to tell, how to start other processes, and where else than in this
    process a shard's clips are worked on."""

    name: str
    workspace: Workspace
    shard: str | None
    fingerprint: str
    report: Report
    launch: Launcher
    elsewhere: Elsewhere | None = None

    def input(self, asset: str) -> Path:
        """The folder of an upstream asset, of this execution's shard where both have shards."""
        return self.workspace.data(asset, self.shard)


@dataclass(frozen=True)
class Step:
    """One asset.

    Attributes:
        name: of the asset, its folder under `data/`, and its stage in dvc.yaml.
        description: for people, in the Dagster UI.
        make: `module:function` that does the work; the folder it leaves is the product. `maker` imports it.
        upstream: assets it reads.
        sections: dotted keys of the profile that decide its result.
        neutral: value of a section that changes nothing; a step whose setting has it stays what it was before there was the setting.
        group, kinds: for the Dagster UI.
        sharded: one partition per shard.
        version: raised by hand when the code gives another result for the same input.
        data_version: content version of the finished folder.
        accelerated: waits for the pool of the training hardware.
        marker: file inside the folder that tells that it is there.
        contract: table of the product whose broken rows are counted, after it is made and before anything that reads it is made;
            too many hold those up.
        files: at the workspace's root and under version control, that decide its result too.
        in_dvc: whether dvc.yaml has it; only things outside the flow have not.
        stands: `module:function` of the workspace, that says whether what it made outside its folder is still there.
        cover: name of the picture, among what its maker returns, that its page opens with; empty for none.
    """

    name: str
    description: str
    make: str
    upstream: tuple[str, ...]
    sections: tuple[str, ...]
    group: str
    kinds: frozenset[str]
    marker: str
    neutral: Mapping[str, Any] = field(default_factory=dict)
    sharded: bool = False
    version: str = "1"
    data_version: Callable[[Path], str] | None = None
    accelerated: bool = False
    in_dvc: bool = True
    contract: str | None = None
    files: tuple[str, ...] = ()
    stands: str | None = None
    cover: str = ""

    def maker(self) -> Callable[[Execution], Metadata]:
        """Import the function that does the work; it returns what the asset's page shows."""
        made: Callable[[Execution], Metadata] = _imported(self.make)
        return made

    def still_stands(self, workspace: Workspace) -> bool:
        """Whether what it made outside its folder is still there; True where it makes nothing there."""
        return self.stands is None or bool(_imported(self.stands)(workspace))


def _imported(name: str) -> Any:
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)
