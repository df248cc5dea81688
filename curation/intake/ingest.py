"""Raw files into an immutable, content-addressed shard: clips in a tar, the unusable ones listed with their reason."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from curation.intake.archive import ARCHIVE, member_name, read_clip, write_archive
from curation.intake.clip_table import (
    CLIPS_SCHEMA,
    clip_rows,
    clips_frame,
    keeping_the_contract,
    printable,
    quarantine_rows,
    with_duplicates,
)
from curation.intake.held_out import HeldOut
from curation.intake.inbox import find_new_clips, fingerprint, ingest_folder, known_fingerprints
from curation.intake.inspect_file import Examined, examine, limits_of, lost
from curation.intake.near_duplicates import DuplicateIndex, find_near_duplicates, records_of
from curation.intake.sidecar import read_sidecar
from curation.tables.contracts import CLIPS
from curation.tables.quarantine import SCHEMA as QUARANTINE_SCHEMA
from curation.tables.quarantine import write_quarantine
from curation.tables.storage import CurationError, write_table
from curation.workers import Progress, map_over_clips
from media import sha256_of_file, whole_directory
from profiles import Profile

__all__ = [
    "IngestReport",
    "ShardPlan",
    "find_new_clips",
    "ingest_folder",
    "ingest_shard",
    "is_shard",
    "plan_shards",
    "read_clip",
    "shard_name",
]

FORMAT = 3  # of a shard's tables; another one is ingested again


@dataclass(frozen=True)
class ShardPlan:
    """The files that will become one shard, and its name."""

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True)
class IngestReport:
    """One shard: where it is, how many clips it holds, and how many files were quarantined for which reason."""

    name: str
    path: Path
    clips: int
    quarantined: dict[str, int]
    seconds: float
    reused: bool


def shard_name(files: Sequence[Path]) -> str:
    """`s-` and 12 hex of the sha256 over the files' sorted fingerprints: same content, same shard, in any order."""
    return _name_of([fingerprint(path) for path in files])


def _name_of(fingerprints: Sequence[str]) -> str:
    return "s-" + hashlib.sha256("\n".join(sorted(fingerprints)).encode()).hexdigest()[:12]


def plan_shards(files: Sequence[Path], size: int) -> list[ShardPlan]:
    """Cut `files`, in the order given, into shards of at most `size`."""
    groups = [tuple(files[start : start + size]) for start in range(0, len(files), size)]
    return [ShardPlan(shard_name(group), group) for group in groups]


def is_shard(folder: Path) -> bool:
    """Whether a finished shard of today's format lies there."""
    path = folder / "shard.json"
    return path.is_file() and json.loads(path.read_text()).get("format") == FORMAT


def ingest_shard(
    files: Sequence[Path],
    shards_root: Path,
    profile: Profile,
    progress: Progress | None = None,
    inbox: Path | None = None,
    index: Path | None = None,
    held_out: HeldOut | None = None,
) -> IngestReport:
    """Examine every file and write `shards_root/<name>/`: clips.tar, clips.parquet, quarantine.parquet, shard.json.

    An unusable file is quarantined and the rest goes on. A shard that exists already is left as it is.

    Args:
        files: at most `profile.curation.shard_clips` of them.
        shards_root: the folder of all shards; content that another shard holds is quarantined as a duplicate.
        profile: `curation.min_seconds` and `video` say what is too short, `curation.shots` how shots are found.
        progress: called with (done, total, file name).
        inbox: `source_name` is relative to it; without it the file name alone.
        index: file of all shards' perceptual hashes; without it the other shards' tables are read.
        held_out: files of benchmarks, which are quarantined under whatever name they come.

    Raises:
        CurationError: no files, too many, or one changes while it is read.
    """
    started = time.monotonic()
    if not 0 < len(files) <= profile.curation.shard_clips:
        raise CurationError(
            f"a shard takes 1 to {profile.curation.shard_clips} files, got {len(files)}; cut them with plan_shards"
        )
    name = shard_name(files)
    destination = shards_root / name
    if is_shard(destination):
        return _report(destination, started, reused=True)
    names = {path: _source_name(path, inbox) for path in sorted(files)}
    note = f"examining clips of {name}"
    looked_at = list(map_over_clips(examine, limits_of(profile), list(names), progress, note, lost=lost))
    if _name_of([found.sha256 for found in looked_at]) != name:
        raise CurationError(
            f"files of shard {name} changed while they were examined; wait until copying ends and ingest again"
        )
    duplicates = DuplicateIndex(shards_root, index, without=name)
    with duplicates.held() as earlier:
        judged = looked_at if held_out is None else [_unless_held_out(found, held_out) for found in looked_at]
        usable, refused = _sorted_out(judged, known_fingerprints(shards_root, without=name), names)
        rows = [row for found in usable for row in clip_rows(found, names[found.path], read_sidecar(found.path))]
        clips, broken = keeping_the_contract(clips_frame(rows))
        hashes = [bytes.fromhex(value) for value in clips["phash"]]
        clips = with_duplicates(clips, find_near_duplicates(clips["clip_id"].tolist(), hashes, earlier))
        with whole_directory(destination) as folder:
            _write_shard(folder, name, clips, [*refused, *broken], usable)
        duplicates.add(records_of(clips, name))
    return _report(destination, started, reused=False)


def _unless_held_out(found: Examined, held_out: HeldOut) -> Examined:
    why = "" if found.reason else held_out.why(found)
    if not why:
        return found
    message = (
        f"{why}, which is held out: a model that is trained on it cannot be judged by it; leave it out of the inbox"
    )
    return replace(found, reason="held_out", message=message)


def _sorted_out(
    looked_at: Sequence[Examined], known: set[str], names: dict[Path, str]
) -> tuple[list[Examined], list[tuple[str, str, str, str]]]:
    """Files to keep, and quarantine rows; content that was seen before is a duplicate."""
    usable, refused = [], []
    for found in looked_at:
        if not found.reason and found.sha256 in known:
            message = "another clip has the same content; this copy is not needed"
            refused.append((names[found.path], found.sha256, "duplicate", message))
            continue
        known.add(found.sha256)
        refused += quarantine_rows(found, names[found.path])
        if not found.reason:
            usable.append(found)
    return usable, refused


def _write_shard(
    folder: Path, name: str, clips: pd.DataFrame, quarantined: list[tuple], usable: Sequence[Examined]
) -> None:
    kept = set(clips["source_sha256"])
    members = [
        (member_name(found.sha256[:16], found.path), found.path, found.sha256)
        for found in usable
        if found.sha256 in kept
    ]
    write_archive(folder / ARCHIVE, members)
    write_table(clips, folder / "clips.parquet", CLIPS_SCHEMA, contract=CLIPS)
    listed = pd.DataFrame(sorted(quarantined), columns=QUARANTINE_SCHEMA.names)
    write_quarantine(folder, listed)
    summary = {
        "format": FORMAT,
        "name": name,
        "clips": len(clips),
        "files": len(members),
        "near_duplicates": int((clips["near_duplicate_of"] != "").sum()),
        "quarantined": {reason: int(count) for reason, count in sorted(listed["reason"].value_counts().items())},
        "seconds_of_video": round(float(clips["seconds"].sum()), 3),
        "bytes": (folder / ARCHIVE).stat().st_size,
        "archive_sha256": sha256_of_file(folder / ARCHIVE),
    }
    (folder / "shard.json").write_text(json.dumps(summary, indent=1) + "\n")


def _source_name(path: Path, inbox: Path | None) -> str:
    inside = inbox is not None and path.is_relative_to(inbox)
    return printable(path.relative_to(inbox) if inside and inbox is not None else Path(path.name))


def _report(shard: Path, started: float, reused: bool) -> IngestReport:
    summary = json.loads((shard / "shard.json").read_text())
    seconds = time.monotonic() - started
    return IngestReport(summary["name"], shard, summary["clips"], summary["quarantined"], seconds, reused)
