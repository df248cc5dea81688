"""Whether clips that are to judge meet clips that are trained on: by bytes, by identity, by what they look like."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from curation.intake.near_duplicates import HashTable, records_of
from curation.snapshot.identities import known_identities
from curation.tables.storage import CurationError, read_table
from media.records import SnapshotRecord

# Of clips.parquet: what samples are held against. A corpus has millions of rows, and a table forty columns.
COMPARED = ("clip_id", "source_sha256", "source_name", "identity", "phash", "near_duplicate_of")


@dataclass(frozen=True)
class Training:
    """What a test set must not meet: rows of clips.parquet, and what they are for the record."""

    clips: pd.DataFrame
    name: str


def training_content(raw_root: Path, snapshot_dir: Path) -> Training:
    """The clips of the training snapshot; without one, of everything ever ingested, which any snapshot lies inside.

    Raises:
        CurationError: a table that cannot be read.
    """
    shards = sorted(path for path in raw_root.glob("s-*") if path.is_dir())
    tables = [_compared(read_table(shard / "clips.parquet")) for shard in shards]
    clips = pd.concat(tables) if tables else pd.DataFrame(columns=["clip_id"])
    record = SnapshotRecord.read_if_there(snapshot_dir)
    if record is None:
        return Training(clips, "all ingested clips")
    listed = set(read_table(snapshot_dir / "samples.parquet")["clip_id"])
    missing = listed - set(clips["clip_id"])
    if missing:
        raise CurationError(
            f"{len(missing)} clips of {snapshot_dir} are in no shard of {raw_root}; `dvc pull` the shards it was made from"
        )
    return Training(clips[clips["clip_id"].isin(listed)], "snapshot " + record.digest)


def _compared(clips: pd.DataFrame) -> pd.DataFrame:
    return clips[[name for name in COMPARED if name in clips]]


def find_overlap(samples: pd.DataFrame, training: Training) -> dict[str, str]:
    """Name to reason for every sample (columns name, sha256, phash, identity) that meets the training clips.

    A test set can be asked again when training has gone on: `find_overlap(test_set.manifest, training)`.
    """
    clips = training.clips
    if clips.empty or samples.empty:
        return {}
    files = dict(zip(clips["source_sha256"], clips["clip_id"], strict=True))
    people: dict[str, str] = {}
    for clip_id, name, identity in zip(clips["clip_id"], clips["source_name"], clips["identity"], strict=True):
        people |= dict.fromkeys(known_identities(name, identity), clip_id)
    records = records_of(clips, "s-0")
    hashes = np.frombuffer(bytes.fromhex("".join(samples["phash"])), np.uint8).reshape(len(samples), -1)
    rows, distances = HashTable(records).nearest(hashes)
    found = {}
    for sample, row, distance in zip(samples.itertuples(), rows, distances, strict=True):
        who = sorted(known_identities(sample.name, sample.identity) & people.keys())
        if sample.sha256 in files:
            found[sample.name] = f"the same file as clip {files[sample.sha256]}"
        elif who:
            found[sample.name] = f"the same identity ({who[0]}) as clip {people[who[0]]}"
        elif row >= 0:
            found[sample.name] = (
                f"nearly the same film as clip {records['clip'][row]:016x} ({distance} of 128 bits differ)"
            )
    return found


def overlap_with_snapshots(manifest: pd.DataFrame, samples_files: Sequence[Path], raw_root: Path) -> dict[str, str]:
    """Name to reason for every sample of a set that meets a clip which any of several snapshots lists; one shard at a time.

    Clips whose rows are gone are met by their bytes alone, where they are whole files: that there are such clips is said under
    the name `shard NAME`, because what was trained on them cannot be judged by this set.

    Args:
        manifest: of the set (columns name, sha256, phash, identity).
        samples_files: samples.parquet of the snapshots, wherever they lie, such as in DVC's cache.
        raw_root: the folder of all shards.
    """
    listed: dict[str, set[str]] = {}
    for path in samples_files:
        for shard, rows in read_table(path)[["shard", "clip_id"]].groupby("shard"):
            listed.setdefault(str(shard), set()).update(rows["clip_id"])
    found: dict[str, str] = {}
    for shard, ids in sorted(listed.items()):
        table = raw_root / shard / "clips.parquet"
        clips = read_table(table) if table.is_file() else pd.DataFrame(columns=["clip_id"])
        gone = ids - set(clips["clip_id"])
        found = find_overlap(manifest, Training(clips[clips["clip_id"].isin(ids)], shard)) | found
        for name, sha256 in zip(manifest["name"], manifest["sha256"], strict=True):
            if sha256[:16] in gone:
                found.setdefault(name, f"the same file as clip {sha256[:16]}, of which {table} no longer has a row")
        if gone:
            found[f"shard {shard}"] = (
                f"{len(gone)} clips that were trained on have no row in {table}, so nobody can tell whom they show; "
                "get the shard back with `dvc pull`"
            )
    return found
