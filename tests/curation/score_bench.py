"""A shard that is scored again and again, with every call counted."""

from pathlib import Path

import pandas as pd

import puppets
from curation.scores import clip as clip_module
from curation.scores import table as table_module
from curation.scores.clip_media import Material
from curation.scores.table import score_shard

CLIPS = 3


class Counting:
    """A puppet detector that says how often it ran; clips are few, so everything runs in this process."""

    name, version = "counting", "1"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, frames):
        self.calls += 1
        return puppets.PuppetKeypoints()(frames)


class Bench:
    """A shard that is scored again and again with one cache."""

    def __init__(self, root: Path, shard: Path, profile, monkeypatch):
        self.root, self.shard, self.profile = root, shard, profile
        self.detector, self.decoded, self.scored = Counting(), 0, []
        count = clip_module.score_material

        def counted(material, which, scores):
            self.scored += [score.name for score in which]
            return count(material, which, scores)

        monkeypatch.setattr(table_module, "score_material", counted)
        decode = Material._decoded.func  # type: ignore[attr-defined]

        def decoded(material):
            self.decoded += 1
            return decode(material)

        replaced = type(Material._decoded)(decoded)
        replaced.__set_name__(Material, "_decoded")
        monkeypatch.setattr(Material, "_decoded", replaced)

    def run(self, **scores):
        """Score with changed configurations; returns the report and what was called."""
        config = self.profile.curation.scores.model_copy(update=scores)
        curation = self.profile.curation.model_copy(update={"scores": config})
        profile = self.profile.model_copy(update={"curation": curation})
        self.scored, self.decoded, self.detector.calls = [], 0, 0
        report = score_shard(self.shard, self.root / "scores", self.detector, profile, cache=self.root / "cache")
        return report

    def table(self) -> pd.DataFrame:
        return pd.read_parquet(self.root / "scores" / "scores.parquet")
