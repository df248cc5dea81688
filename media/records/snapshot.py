"""snapshot.json: what a training snapshot was frozen from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from media.records.json_record import JsonRecord


@dataclass(frozen=True)
class SnapshotRecord(JsonRecord):
    """A frozen list of shards, and how their samples are counted."""

    FILE = "snapshot.json"
    REMEDY = "materialise training_snapshot, or get it back with `dvc pull`"
    SORTED = True

    @property
    def digest(self) -> str:
        """sha256 over everything that training reads of the snapshot."""
        return self.require("digest")

    @property
    def shards(self) -> list[dict[str, Any]]:
        """Name and hashes of each shard that is in it."""
        return self.values.get("shards", [])

    @property
    def excluded(self) -> list[dict[str, str]]:
        """Shard and reason of each that is not."""
        return self.values.get("excluded", [])

    @property
    def predicates(self) -> Mapping[str, Any]:
        """What each subset's clips had to pass."""
        return self.values.get("predicates", {})

    @property
    def counts(self) -> Mapping[str, int]:
        """Clips, and samples of each subset."""
        return self.values.get("counts", {})

    @property
    def buckets(self) -> Mapping[str, int]:
        """Samples of each bucket."""
        return self.values.get("buckets", {})

    @property
    def encoders(self) -> Mapping[str, Any]:
        """What its features were made with, as `EncodersRecord` says it."""
        return self.values.get("encoders", {})

    @property
    def held_out(self) -> Mapping[str, float]:
        """How many people, clips and samples of theirs are held out, and their share of all people; empty where nobody is."""
        return self.values.get("held_out", {})
