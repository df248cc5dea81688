"""record.json: what a training wrote beside its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from media.records.json_record import JsonRecord


@dataclass(frozen=True)
class ProductRecord(JsonRecord):
    """Where a product's weights come from, and numbers of the training that made them."""

    FILE = "record.json"
    REMEDY = "train it again, or get it back with `dvc pull`"

    @property
    def name(self) -> str:
        """The asset that was trained."""
        return self.require("name")

    @property
    def kind(self) -> str:
        """Of training: stage, consistency, adversarial, decoder, or taken over."""
        return self.require("kind")

    @property
    def profile(self) -> str:
        """The profile's name."""
        return self.require("profile")

    @property
    def weights_digest(self) -> str:
        """sha256 of the weights."""
        return self.require("weights_digest")

    @property
    def snapshot_digest(self) -> str:
        """Of the data that it was trained on."""
        return self.require("snapshot_digest")

    @property
    def mlflow_run_id(self) -> str | None:
        """Of the training; None where it was not tracked."""
        return self.require("mlflow_run_id")

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return int(self.require("steps"))

    @property
    def parameters(self) -> int:
        """How many numbers the weights are."""
        return int(self.require("parameters"))

    @property
    def section(self) -> Mapping[str, Any] | None:
        """The part of the profile that it was trained with; None for weights that were taken over."""
        return self.values.get("section")

    @property
    def parent(self) -> str:
        """The product that its weights started from."""
        return self.require("parent")

    @property
    def continued_from(self) -> str | None:
        """The registered model whose weights it goes on from, in words; None where it began with the profile's own."""
        return self.values.get("continued_from")

    @property
    def adapter(self) -> Mapping[str, Any] | None:
        """Of a stage that was trained with LoRA: what its adapter is and stands on."""
        return self.values.get("adapter")

    @property
    def seen_snapshots(self) -> list[str]:
        """Digests of the snapshots that weights which were taken over had been trained on."""
        return self.require("seen_snapshots")
