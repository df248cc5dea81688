"""dvc.lock: what each stage read and made, by content, and the settings that it ran with. Everything that looks into it reads it here."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from assets.core.dvc_yaml import parse_text
from assets.core.steps import AssetError

SCHEMA = "2.0"
PARAMS = "params.yaml"


@dataclass(frozen=True)
class LockedStage:
    """One stage.

    Attributes:
        name: of the stage, which is the asset's.
        deps: path to hash of what it read.
        outs: path to hash of what it made.
        params: dotted key of params.yaml to the value that it ran with.
        entry: all of it, as DVC wrote it.
    """

    name: str
    deps: Mapping[str, str]
    outs: Mapping[str, str]
    params: Mapping[str, Any]
    entry: Mapping[str, Any]

    @classmethod
    def parse(cls, name: str, entry: Mapping[str, Any]) -> Self:
        """Read one entry; what has no hash has an empty one."""
        deps, outs = ({one["path"]: one.get("md5", "") for one in entry.get(key, [])} for key in ("deps", "outs"))
        return cls(name, deps, outs, entry.get("params", {}).get(PARAMS, {}), entry)

    @property
    def read(self) -> dict[str, str]:
        """Asset (or file of the root) to hash of what it read."""
        return {Path(path).name: content for path, content in self.deps.items()}

    @property
    def made(self) -> str:
        """Hash of the folder that it made."""
        return next(iter(self.outs.values()))


@dataclass(frozen=True)
class DvcLock:
    """The stages of a lock by name, in its order."""

    stages: Mapping[str, LockedStage]

    @classmethod
    def parse(cls, text: str, name: str) -> Self:
        """Read a lock's text; `name` is what an error calls it.

        Raises:
            AssetError: it is no lock, or a stage of it made nothing.
        """
        from dvc.utils.serialize import YAMLError

        try:
            stages = {key: LockedStage.parse(key, entry) for key, entry in parse_text(text, name)["stages"].items()}
            nothing = [key for key, stage in stages.items() if not stage.outs]
            if nothing:
                raise KeyError(f"outs of {', '.join(nothing)}")
        except (YAMLError, KeyError, TypeError, AttributeError) as error:
            remedy = "restore it from version control, or make the assets again"
            raise AssetError(f"{name} is no lock file of DVC ({error}); {remedy}") from error
        return cls(stages)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a lock file.

        Raises:
            AssetError: it is not there, or no lock.
        """
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise AssetError(f"{path} cannot be read ({error}); restore it from version control") from error
        return cls.parse(text, str(path))

    def text(self) -> str:
        """Write it as DVC does."""
        from dvc.utils.serialize import dumps_yaml

        return dumps_yaml({"schema": SCHEMA, "stages": {name: stage.entry for name, stage in self.stages.items()}})

    def made(self, asset: str) -> str:
        """Hash of what a stage made; empty where the lock has no such stage."""
        return self.stages[asset].made if asset in self.stages else ""

    def outputs(self) -> dict[str, str]:
        """Asset to hash of its folder."""
        return {name: stage.made for name, stage in self.stages.items()}

    def only(self, assets: Collection[str]) -> "DvcLock":
        """Leave out all other stages."""
        return DvcLock({name: stage for name, stage in self.stages.items() if name in assets})

    def overlaid(self, other: "DvcLock") -> "DvcLock":
        """Take stages that `other` has from it."""
        return DvcLock({**self.stages, **other.stages})
