"""Shards taken through every step of curation in one folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors.numpy import save_file

import puppets
from curation.bucket import load_bucket_clip
from curation.features.feature_files import SAMPLES_SCHEMA
from curation.features.shard_features import build_features
from curation.intake.archive import read_clip
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.scores.table import score_shard
from curation.snapshot.training_snapshot import freeze_snapshot
from curation.subsets.nested_subsets import select_subsets
from curation.tables.contracts import SAMPLES
from curation.tables.storage import read_table, read_table_metadata, write_table
from media import sha256_of_file
from media.features.rounding import from_int8
from media.features.rows import ShardRows
from media.features.tensor_file import OpenFiles

# What a file of the first layout has of each sample.
FIRST_LAYOUT = (
    "latents", "reference_latents", "motion_latents", "has_motion", "text", "audio", "has_audio", "keypoints",
)  # fmt: skip


class Workspace:
    """`shards` are the names of those that were ingested."""

    def __init__(self, root: Path, inbox: Path, profile, encoders):
        self.root, self.inbox, self.profile, self.encoders = root, inbox, profile, encoders
        self.shards: list[str] = []
        self.detector: Any = puppets.PuppetKeypoints()

    def ingest(self) -> str:
        new = find_new_clips(self.inbox, self.root / "raw")
        name = ingest_shard(new, self.root / "raw", self.profile, inbox=self.inbox).name
        self.shards.append(name)
        self.score(name)
        return name

    def score(self, name: str) -> None:
        raw, scores = self.root / "raw" / name, self.root / "scores" / name
        score_shard(raw, scores, self.detector, self.profile)
        select_subsets(
            raw / "clips.parquet", scores / "scores.parquet", self.root / "subsets" / name, self.profile.curation
        )

    def features(self, name: str, pieces: Path | None = None):
        raw, scores, features = (self.root / part / name for part in ("raw", "scores", "features"))
        return build_features(raw, scores, features, self.profile, encoders=self.encoders, pieces=pieces)

    def decoded(self, name: str, clip_id: str) -> np.ndarray:
        clip = pd.read_parquet(self.root / "raw" / name / "clips.parquet").set_index("clip_id").loc[clip_id]
        data = read_clip(self.root / "raw" / name, clip_id)
        return load_bucket_clip(data, int(clip["width"]), int(clip["height"]), self.profile.video).frames

    def freeze(self) -> str:
        roots = [self.root / part for part in ("raw", "subsets", "features")]
        return freeze_snapshot(self.shards, *roots, self.root / "snapshot", self.profile)  # type: ignore[call-arg]

    def snapshot(self) -> dict:
        return json.loads((self.root / "snapshot" / "snapshot.json").read_text())


def stored(folder: Path, bucket: str = "64x64x17@16") -> dict[str, np.ndarray]:
    """All rows of one bucket's features as a sample has them, whatever they are kept in, and the empty prompt's."""
    shard = ShardRows(folder, OpenFiles())
    count = int((pd.read_parquet(folder / "samples.parquet", columns=["bucket"])["bucket"] == bucket).sum())
    found = {}
    for name in FIRST_LAYOUT:
        values, scale = shard.read(bucket, name, range(count))
        found[name] = values if scale is None else from_int8(values, scale)
    return found | {"null_text": shard.null_text(bucket)}


def in_the_first_layout(folder: Path, bucket: str = "64x64x17@16") -> None:
    """Put one bucket's features back into the file that an earlier version wrote: every row padded, the same digest."""
    tensors = stored(folder, bucket)
    for path in (*folder.glob("features-*.safetensors"), *folder.glob("text-*.safetensors")):
        path.unlink()
    file = folder / f"features-{bucket}.safetensors"
    save_file(tensors, file)
    table = read_table(folder / "samples.parquet")
    made = {key: value for key, value in read_table_metadata(folder / "samples.parquet").items() if key != "layout"}
    made |= {"files": {bucket: sha256_of_file(file)}, "features_bytes": file.stat().st_size}
    write_table(table, folder / "samples.parquet", SAMPLES_SCHEMA, made, SAMPLES)
