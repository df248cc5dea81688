"""Whom the clips of the training snapshot show, for the record that travels with a model."""

from collections import Counter

import pandas as pd
import pyarrow.parquet as pq

from assets.core.workspace import Workspace
from curation.scores.person.presence import NOBODY as SEEN_BY_NOBODY
from media.records import SnapshotRecord, TrainedOnRecord
from media.records.trained_on import NOBODY, PEOPLE, PUPPETS, UNKNOWN
from puppets import PuppetKeypoints

COLUMN = "person_by"


def trained_on(workspace: Workspace) -> TrainedOnRecord:
    """Count the snapshot's clips by who saw somebody in them; clips that were scored before that was a score are unknown."""
    folder = workspace.data("training_snapshot")
    samples = pd.read_parquet(folder / "samples.parquet", columns=["clip_id", "shard"]).drop_duplicates("clip_id")
    tally: Counter[str] = Counter()
    for shard, clips in samples.groupby("shard")["clip_id"]:
        seen = _seen_by(workspace, str(shard))
        tally.update(_shown(seen.get(clip)) for clip in clips)
    return TrainedOnRecord({"snapshot": SnapshotRecord.read(folder).digest, "clips": dict(sorted(tally.items()))})


def _seen_by(workspace: Workspace, shard: str) -> dict[str, str | None]:
    table = workspace.data("clip_scores", shard) / "scores.parquet"
    if not table.is_file() or COLUMN not in pq.read_schema(table).names:
        return {}
    rows = pd.read_parquet(table, columns=["clip_id", COLUMN])
    return dict(zip(rows["clip_id"], rows[COLUMN], strict=True))


def _shown(seen_by: str | None) -> str:
    return {None: UNKNOWN, SEEN_BY_NOBODY: NOBODY, PuppetKeypoints.name: PUPPETS}.get(seen_by, PEOPLE)
