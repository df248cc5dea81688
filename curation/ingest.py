"""Raw files into an immutable, content-addressed shard: clips in a tar, the unusable ones listed with their reason."""

import errno
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from curation.archive import ARCHIVE, member_name, read_clip, write_archive
from curation.inbox import find_new_clips, fingerprint, ingest_folder, known_fingerprints, sidecar_path
from curation.storage import CurationError, write_table
from curation.workers import Progress, map_over_clips
from media import MediaError, decode_clip, probe_clip, sha256_of_file, whole_directory
from media.decode import Probe
from profiles import Profile

__all__ = [
    "IngestReport",
    "ShardPlan",
    "find_new_clips",
    "ingest_folder",
    "ingest_shard",
    "plan_shards",
    "read_clip",
    "shard_name",
]

CLIPS_SCHEMA = pa.schema(
    [("clip_id", pa.string()), ("sha256", pa.string()), ("member", pa.string()), ("source_name", pa.string())]
    + [("caption", pa.string()), ("caption_note", pa.string()), ("width", pa.int32()), ("height", pa.int32())]
    + [("fps", pa.float64()), ("seconds", pa.float64()), ("frames", pa.int32()), ("has_audio", pa.bool_())]
)
QUARANTINE_SCHEMA = pa.schema([(name, pa.string()) for name in ("source_name", "sha256", "reason", "message")])


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


def ingest_shard(
    files: Sequence[Path],
    shards_root: Path,
    profile: Profile,
    progress: Progress | None = None,
    inbox: Path | None = None,
) -> IngestReport:
    """Examine every file and write `shards_root/<name>/`: clips.tar, clips.parquet, quarantine.parquet, shard.json.

    An unusable file is quarantined and the rest goes on. A shard that exists already is left as it is.

    Args:
        files: at most `profile.curation.shard_clips` of them.
        shards_root: the folder of all shards; content that another shard holds is quarantined as a duplicate.
        profile: `curation.min_seconds` and `video` say what is too short.
        progress: called with (done, total, file name).
        inbox: `source_name` is relative to it; without it the file name alone.

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
    if (destination / "shard.json").is_file():
        return _report(destination, started, reused=True)
    known = known_fingerprints(shards_root)
    sources = {path: _source_name(path, inbox) for path in sorted(files)}
    clips, quarantined = [], []
    shortest = min(bucket.frames for bucket in profile.video.all_buckets)
    limits = _Limits(profile.curation.min_seconds, profile.video.fps, shortest)
    for found in map_over_clips(_examine, limits, list(sources), progress, f"examining clips of {name}"):
        reason, message = found.reason, found.message
        if not reason and found.sha256 in known:
            reason, message = "duplicate", "another clip has the same content; this copy is not needed"
        known.add(found.sha256)
        if reason:
            quarantined.append((sources[found.path], found.sha256, reason, message))
        else:
            clips.append(found)
    if _name_of([found.sha256 for found in clips] + [row[1] for row in quarantined]) != name:
        raise CurationError(
            f"files of shard {name} changed while they were examined; wait until copying ends and ingest again"
        )
    with whole_directory(destination) as folder:
        _write_shard(folder, name, clips, quarantined, sources)
    return _report(destination, started, reused=False)


@dataclass(frozen=True)
class _Limits:
    min_seconds: float
    fps: float
    frames: int


@dataclass(frozen=True)
class _Examined:
    path: Path
    sha256: str
    probe: Probe | None
    reason: str = ""
    message: str = ""


def _examine(limits: _Limits, path: Path) -> _Examined:
    key = fingerprint(path)
    if path.exists() and path.stat().st_size == 0:
        return _Examined(path, key, None, "empty", "the file has zero bytes; copy it again")
    try:
        probe = probe_clip(path)
        if probe.has_audio:
            # One picture and the whole sound: the probe decodes pictures only.
            decode_clip(path, fps=limits.fps, max_seconds=0.0)
    except MediaError as error:
        # The table says the same wherever the inbox stands.
        return _Examined(path, key, None, error.reason, str(error).replace(str(path), path.name))
    except OSError as error:
        # FFmpeg seeks to where a broken header points; a place before the file's beginning is no fault of the disk.
        broken = error.errno == errno.EINVAL
        reason = "not_video" if broken else "unreadable"
        return _Examined(path, key, None, reason, f"reading fails ({error}); copy or re-export the file")
    windows = int(probe.duration * limits.fps + 1e-3) // limits.frames
    if probe.duration < limits.min_seconds - 1e-3 or not windows:
        shortest = max(limits.min_seconds, limits.frames / limits.fps)
        message = f"{probe.duration:.2f} s; a training window needs {shortest:.4f} s, give a longer clip"
        return _Examined(path, key, None, "too_short", message)
    return _Examined(path, key, probe)


def _write_shard(
    folder: Path, name: str, clips: list[_Examined], quarantined: list[tuple], sources: dict[Path, str]
) -> None:
    rows = sorted((_clip_row(found, sources[found.path]) for found in clips), key=lambda row: row["clip_id"])
    members = [(member_name(found.sha256[:16], found.path), found.path, found.sha256) for found in clips]
    write_archive(folder / ARCHIVE, members)
    write_table(pd.DataFrame(rows, columns=CLIPS_SCHEMA.names), folder / "clips.parquet", CLIPS_SCHEMA)
    listed = pd.DataFrame(sorted(quarantined), columns=QUARANTINE_SCHEMA.names)
    write_table(listed, folder / "quarantine.parquet", QUARANTINE_SCHEMA)
    summary = {
        "name": name,
        "clips": len(rows),
        "quarantined": {reason: int(count) for reason, count in sorted(listed["reason"].value_counts().items())},
        "seconds_of_video": round(sum(row["seconds"] for row in rows), 3),
        "bytes": (folder / ARCHIVE).stat().st_size,
        "archive_sha256": sha256_of_file(folder / ARCHIVE),
    }
    (folder / "shard.json").write_text(json.dumps(summary, indent=1) + "\n")


def _clip_row(found: _Examined, source_name: str) -> dict[str, Any]:
    assert found.probe is not None
    clip_id = found.sha256[:16]
    caption, note = _read_caption(found.path)
    return {
        "clip_id": clip_id,
        "sha256": found.sha256,
        "member": member_name(clip_id, found.path),
        "source_name": source_name,
        "caption": caption,
        "caption_note": note,
        "width": found.probe.width,
        "height": found.probe.height,
        "fps": found.probe.fps,
        "seconds": found.probe.duration,
        "frames": found.probe.frames,
        "has_audio": found.probe.has_audio,
    }


def _read_caption(clip: Path) -> tuple[str, str]:
    """The caption and a note: a bad sidecar costs the caption, never the clip."""
    path = sidecar_path(clip)
    if not path.is_file():
        return "", "no sidecar"
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        return "", f"sidecar cannot be read: {error}"
    caption = value.get("caption") if isinstance(value, dict) else None
    if not isinstance(caption, str):
        return "", 'sidecar has no text under "caption"'
    return caption, ""


def _source_name(path: Path, inbox: Path | None) -> str:
    relative = path.relative_to(inbox) if inbox is not None and path.is_relative_to(inbox) else Path(path.name)
    # A name that is not UTF-8 cannot stand in parquet as it is.
    return os.fsencode(relative).decode("utf-8", "backslashreplace")


def _report(shard: Path, started: float, reused: bool) -> IngestReport:
    summary = json.loads((shard / "shard.json").read_text())
    seconds = time.monotonic() - started
    return IngestReport(summary["name"], shard, summary["clips"], summary["quarantined"], seconds, reused)
