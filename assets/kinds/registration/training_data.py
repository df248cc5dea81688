"""Whom the clips of the training snapshot show and what was said of consent, for the record that travels with a model."""

from collections import Counter
from collections.abc import Iterator

import pandas as pd
import pyarrow.parquet as pq

from assets.core.workspace import Workspace
from curation.scores.person.presence import NOBODY as SEEN_BY_NOBODY
from media.records import SnapshotRecord, TrainedOnRecord
from media.records.trained_on import NOBODY, PEOPLE, PUPPETS, UNKNOWN
from puppets import PuppetKeypoints

COLUMN = "person_by"
SAID = ["consent", "licence"]  # of a clip, by its sidecar


def trained_on(workspace: Workspace) -> TrainedOnRecord:
    """Count the snapshot's clips by who saw somebody in them, and by consent and licence; clips that were scored before that was a score are unknown."""
    folder = workspace.data("training_snapshot")
    samples = pd.read_parquet(folder / "samples.parquet", columns=["clip_id", "shard"]).drop_duplicates("clip_id")
    tally: Counter[str] = Counter()
    said: Counter[tuple[str, ...]] = Counter()
    for shard, clips in samples.groupby("shard")["clip_id"]:
        seen = _seen_by(workspace, str(shard))
        tally.update(_shown(seen.get(clip)) for clip in clips)
        said.update(_said_of(workspace, str(shard), list(clips)))
    consents = [dict(zip(SAID, words, strict=True)) | {"clips": count} for words, count in said.most_common()]
    values = {
        "snapshot": SnapshotRecord.read(folder).digest,
        "clips": dict(sorted(tally.items())),
        "consents": consents,
    }
    return TrainedOnRecord(values)


def _said_of(workspace: Workspace, shard: str, clips: list[str]) -> Iterator[tuple[str, ...]]:
    """For each clip what its sidecar says, "" where it says nothing; `unknown` where its table is gone."""
    table = workspace.data("raw_clips", shard) / "clips.parquet"
    there = [name for name in SAID if name in pq.read_schema(table).names] if table.is_file() else []
    rows = pd.read_parquet(table, columns=["clip_id", *there]).set_index("clip_id") if there else pd.DataFrame()
    for clip in clips:
        known = clip in rows.index
        yield tuple(str(rows.at[clip, name]) if known and name in there else UNKNOWN for name in SAID)


def _seen_by(workspace: Workspace, shard: str) -> dict[str, str | None]:
    table = workspace.data("clip_scores", shard) / "scores.parquet"
    if not table.is_file() or COLUMN not in pq.read_schema(table).names:
        return {}
    rows = pd.read_parquet(table, columns=["clip_id", COLUMN])
    return dict(zip(rows["clip_id"], rows[COLUMN], strict=True))


def _shown(seen_by: str | None) -> str:
    return {None: UNKNOWN, SEEN_BY_NOBODY: NOBODY, PuppetKeypoints.name: PUPPETS}.get(seen_by, PEOPLE)
