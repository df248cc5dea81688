"""The tables that come of scoring a benchmark, written and read together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd

from evaluation.scoring.score_table import (
    CLIP_COLUMNS,
    COLUMNS,
    FITNESS_COLUMNS,
    SLICE_COLUMNS,
    UNMEASURED_COLUMNS,
    as_table,
)

_COLUMNS = {
    "scores": COLUMNS,
    "samples": CLIP_COLUMNS,
    "slices": SLICE_COLUMNS,
    "fitness": FITNESS_COLUMNS,
    "unmeasured": UNMEASURED_COLUMNS,
}


@dataclass(frozen=True)
class Tables:
    """Of one benchmark, or of several under one another.

    Attributes:
        scores: a number a row, of every model and mode.
        samples: the numbers of each clip that a metric has for a clip alone.
        slices: the judged model's numbers on parts of the benchmark.
        fitness: which metrics notice known damage to the benchmark's own clips, and may therefore gate.
        unmeasured: metrics of the registry that were not measured, why, and what to do.
    """

    scores: pd.DataFrame
    samples: pd.DataFrame
    slices: pd.DataFrame
    fitness: pd.DataFrame
    unmeasured: pd.DataFrame

    @classmethod
    def of_rows(cls, **rows: list[dict]) -> Self:  # type: ignore[type-arg]
        """From lists of records by the tables' names; a table that is not named is empty."""
        return cls(**{name: as_table(rows.get(name, []), columns) for name, columns in _COLUMNS.items()})

    @classmethod
    def joined(cls, parts: "list[Tables]") -> Self:
        """Several benchmarks' under one another."""
        made = {}
        for name, columns in _COLUMNS.items():
            there = [getattr(part, name) for part in parts if len(getattr(part, name))]
            made[name] = pd.concat(there, ignore_index=True) if there else as_table([], columns)
        return cls(**made)

    def write(self, folder: Path) -> None:
        """Write `<table>.parquet` each."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _COLUMNS:
            getattr(self, name).to_parquet(folder / f"{name}.parquet", index=False)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read them all."""
        return cls(**{name: pd.read_parquet(folder / f"{name}.parquet") for name in _COLUMNS})
