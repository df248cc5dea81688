"""What a score is: a name, a version, the columns it writes, what of the clip it reads, and the function."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from curation.scores.clip_media import Bench, Material
from profiles.scores import ScoresConfig

Values = dict[str, float | int | bool | str | None]
Compute = Callable[[Material, Any], Values]


@dataclass(frozen=True)
class Score:
    """One score.

    Attributes:
        name: its key in the profile under `curation.scores`.
        version: raised by hand when the code gives another value for the same clip.
        columns: names and what they hold ("float", "bool" or "text").
        reads: parts of the material: frames, native, audio, keypoints, pose_keypoints, record, data.
        reads_with_weights: parts that it reads besides where its configuration names weights.
        told: columns of the clip's row that are no property of its bytes and decide the values too.
        compute: the material and the score's configuration to a value for each column; NaN (a text: None) where it has no meaning.
        weights: the version of the weights that a configuration names; empty for a score without weights.
    """

    name: str
    version: str
    columns: dict[str, str]
    reads: tuple[str, ...]
    compute: Compute
    weights: Callable[[Any], str] = lambda config: ""
    reads_with_weights: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    def config(self, scores: ScoresConfig) -> BaseModel | None:
        """This score's configuration, None where it is off."""
        return getattr(scores, self.name)

    def key(self, scores: ScoresConfig, bench: Bench) -> str:
        """16 hex that decide the columns' values together with the clip's bytes: name, version, configuration, weights,
        and what the material that it reads is made with."""
        config = self.config(scores)
        parts = [
            self.name,
            self.version,
            config.model_dump(mode="json") if config else None,
            self.weights(config) if config else "",
            {source: bench.identity(source) for source in self.sources(scores)},
        ]
        return digest(parts)

    def sources(self, scores: ScoresConfig) -> tuple[str, ...]:
        """The parts of the material that it reads under a configuration."""
        config = self.config(scores)
        return (*self.reads, *self.reads_with_weights) if config and self.weights(config) else self.reads

    def clip_key(self, record: dict[str, Any]) -> str:
        """What the values of one clip are kept under: its sha256, and with it what else its row decides."""
        return digest([record["sha256"], *(record[name] for name in self.told)]) if self.told else record["sha256"]


def digest(value: Any) -> str:
    """16 hex of the sha256 over a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def floats(*names: str) -> dict[str, str]:
    """Columns that hold numbers."""
    return dict.fromkeys(names, "float")


def without_meaning(*names: str) -> Values:
    """NaN for each of these columns."""
    return dict.fromkeys(names, float("nan"))
