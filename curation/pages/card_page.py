"""The dataset card as a page: what a training snapshot holds, where it comes from, and what was left out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from curation.pages.clip_pictures import SHOWN, clips_sheet, evenly_spread
from curation.pages.figures import funnel_chart
from curation.pages.ingest_page import origin_rows
from curation.pages.stage_pages import caption_section, condition_rows
from curation.pages.subset_slices import SLICED, slice_rows
from curation.snapshot.withdrawals import Tombstone
from curation.tables.storage import read_table
from media.hiding import Hide, as_it_is
from media.pages import Section, write_page
from media.records import SnapshotRecord
from profiles.conditions import SUBSETS

SHARDS_LISTED, SHARDS_SHOWN = 200, 3
CLIP_COLUMNS = ("clip_id", "seconds", "source_name", "source", "licence", "consent", "identity")


def write_card_page(
    path: Path,
    snapshot_dir: Path,
    raw_root: Path,
    scores_root: Path,
    subsets_root: Path,
    tombstones: Sequence[Tombstone],
    hide: Hide = as_it_is,
) -> Path:
    """Write the card of a frozen snapshot, over all its shards.

    Args:
        path: of the page.
        snapshot_dir: snapshot.json and samples.parquet.
        raw_root, scores_root, subsets_root: each holds a folder per shard.
        tombstones: every withdrawal on record.
        hide: what each picture of a clip goes through before it is shown.

    Raises:
        CurationError: the snapshot's own table is absent or breaks its contract.
    """
    snapshot = SnapshotRecord.read(snapshot_dir)
    samples = read_table(snapshot_dir / "samples.parquet")
    names = [shard["name"] for shard in snapshot.shards]
    clips = _of_all(raw_root, names, "clips.parquet", CLIP_COLUMNS)
    scored = [name for name in names if (scores_root / name / "scores.parquet").is_file()]
    subsets = _of_all(subsets_root, names, "subsets.parquet", ("clip_id", *SUBSETS))
    trained = clips[clips["clip_id"].isin(samples["clip_id"])]
    table = clips[["clip_id", "seconds"]].merge(subsets, on="clip_id")
    counts = {"clips_in": len(table), **{name: int(table[name].sum()) for name in SUBSETS}}
    pictures = [(name, shard_look(raw_root / name, trained, hide)) for name in names[:SHARDS_SHOWN]]
    shown = [(name, sheet) for name, sheet in pictures if sheet]
    scores = _of_all(scores_root, scored, "scores.parquet", (*SLICED, "caption", "caption_words")) if scored else None
    sections = [
        Section("In one sentence", _sentence(snapshot, trained)),
        Section(
            "Hours per condition",
            "Of whole clips; a clip trains every condition whose subset it is in.",
            condition_rows(table),
            [funnel_chart(counts)],
        ),
        Section("Samples", _samples_note(snapshot), sample_rows(snapshot, samples)),
        Section("A look", "", pictures=[sheet for _, sheet in shown], captions=[name for name, _ in shown]),
        Section("Source, licence, consent", "", origin_rows(trained)),
        *_of_scores(clips, scores, subsets, trained),
        Section(
            "Withdrawn",
            _withdrawn_note(tombstones),
            [{"target": t.target, "clips": len(t.clip_ids), "when": t.when, "reason": t.reason} for t in tombstones],
        ),
        Section("Left out", "", [dict(entry) for entry in snapshot.excluded]),
        Section(
            "Shards",
            "",
            [{**s, "features_sha256": s["features_sha256"][:12]} for s in snapshot.shards[:SHARDS_LISTED]],
        ),
        Section(
            "Encoders",
            "",
            [{"encoder": key, "made with": _short(value)} for key, value in sorted(snapshot.encoders.items())],
        ),
    ]
    listed = {"shards": len(names), "clips": len(trained), "hours": round(float(trained["seconds"].sum()) / 3600, 3)}
    return write_page(path, f"Dataset card: training snapshot {snapshot.digest[:12]}", sections, listed)


def sample_rows(snapshot: SnapshotRecord, samples: pd.DataFrame) -> list[dict[str, Any]]:
    """Samples of each subset, with the predicate that a clip of it keeps."""
    return [
        {
            "subset": name,
            "samples": int(samples[name].sum()),
            "predicate (and those above)": snapshot.predicates[name],
        }
        for name in SUBSETS
    ]


def _of_scores(
    clips: pd.DataFrame, scores: pd.DataFrame | None, subsets: pd.DataFrame, trained: pd.DataFrame
) -> list[Section]:
    if scores is None:
        return [Section("Captions and slices", "No scores are here.")]
    note = "All clips of the listed shards that have scores here, and the share of each slice in each subset."
    captions = caption_section(scores[scores["clip_id"].isin(trained["clip_id"])])
    return [captions, Section("Slices", note, slice_rows(clips, scores, subsets))]


def _of_all(root: Path, shards: Sequence[str], file: str, columns: Sequence[str]) -> pd.DataFrame:
    """These columns alone, where a table has them: freezing the snapshot has just checked the tables whole."""
    paths = [root / shard / file for shard in shards]
    tables = [pd.read_parquet(p, columns=[c for c in columns if c in pq.read_schema(p).names]) for p in paths]
    return pd.concat(tables, ignore_index=True).drop_duplicates("clip_id")


def shard_look(shard_dir: Path, trained: pd.DataFrame, hide: Hide = as_it_is) -> bytes | None:
    """PNG of a few clips of a shard that are in the table `trained` (`clip_id`); None where none can be shown."""
    own = read_table(shard_dir / "clips.parquet")
    return clips_sheet(shard_dir, evenly_spread(own[own["clip_id"].isin(trained["clip_id"])], SHOWN), hide=hide)


def _sentence(snapshot: SnapshotRecord, trained: pd.DataFrame) -> str:
    buckets = ", ".join(f"{name} ({count} samples)" for name, count in snapshot.buckets.items())
    people = trained.loc[trained["identity"] != "", "identity"].nunique()
    shards = len(snapshot.shards)
    return (
        f"{len(trained)} clips, {trained['seconds'].sum() / 3600:.3g} hours, in {shards} shard{'s' if shards != 1 else ''}; "
        f"{people} {'person is' if people == 1 else 'people are'} named in sidecars; buckets {buckets}."
    )


def _samples_note(snapshot: SnapshotRecord) -> str:
    counts = snapshot.counts
    return (
        f"Of {counts['text']} samples, {counts['reference_outside']} have their reference from outside the window and "
        f"{counts['has_motion']} have motion frames before it."
    )


def _withdrawn_note(tombstones: Sequence[Tombstone]) -> str:
    return "Nothing has been withdrawn." if not tombstones else "None of these is in the snapshot."


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text
