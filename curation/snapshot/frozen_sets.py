"""Frozen test sets out of local copies: a reference image, sound and optional pose per sample, disjoint from training.

Disjoint by content (sha256), by near-duplicate hash, and by identity. Overlap is refused, not passed over in silence.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import soundfile
from safetensors.numpy import save_file

from curation.bucket import into_bucket
from curation.intake.clip_table import printable
from curation.intake.inbox import candidate_files
from curation.intake.inspect_file import Examined, Limits, examine
from curation.intake.near_duplicates import HashTable, records_of
from curation.intake.sidecar import Sidecar, read_sidecar
from curation.people.keypoints import CONFIDENT, KeypointDetector
from curation.snapshot.identities import KINDS, identity_by_name, known_identities, why_not
from curation.tables.storage import CurationError, read_table, write_table
from media import Span, decode_clip, sha256_of_file, whole_directory
from media.records import SnapshotRecord
from profiles.schema import VideoConfig

MANIFEST, RECORD = "manifest.parquet", "test_set.json"
MANIFEST_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("sample_id", "name", "sha256", "phash", "identity", "caption")]
    + [
        (name, pa.string())
        for name in ("reference", "reference_sha256", "audio", "audio_sha256", "pose", "pose_sha256")
    ]
    + [(name, pa.int32()) for name in ("width", "height", "window_start", "window_frames", "reference_frame")]
    + [("fps", pa.float64()), ("sample_rate", pa.int32()), ("seconds", pa.float64())]
)


@dataclass(frozen=True)
class Training:
    """What a test set must not meet: rows of clips.parquet, and what they are for the record."""

    clips: pd.DataFrame
    name: str


@dataclass(frozen=True)
class TestSet:
    """`manifest` has a row per sample; files lie in `path`. `skipped` says of each file, or of its pose, that was left out, why."""

    path: Path
    manifest: pd.DataFrame
    digest: str
    skipped: dict[str, str]


def training_content(raw_root: Path, snapshot_dir: Path) -> Training:
    """The clips of the training snapshot; without one, of everything ever ingested, which any snapshot lies inside.

    Raises:
        CurationError: a table that cannot be read.
    """
    shards = sorted(path for path in raw_root.glob("s-*") if path.is_dir())
    tables = [read_table(shard / "clips.parquet").assign(shard=shard.name) for shard in shards]
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


def build_test_set(
    local: Path,
    destination: Path,
    kind: str,
    video: VideoConfig,
    training: Training,
    detector: KeypointDetector | None = None,
    limit: int | None = None,
    exclude_overlap: bool = False,
) -> TestSet:
    """Write `destination/`: manifest.parquet, test_set.json, references/, audio/, poses/.

    Args:
        local: the set's local copy; nothing in it is changed.
        destination: the test set's folder, made or replaced.
        kind: one of `KINDS`; says how files are named and who is in them.
        video: the bucket: rate, window and sample rate.
        training: what it must not meet.
        detector: finds the pose of each sample; without it samples have none.
        limit: at most so many samples, as many people as possible.
        exclude_overlap: leave out files that meet training data instead of refusing.

    Raises:
        CurationError: an unknown kind, no usable file, or overlap with training.
    """
    if kind not in KINDS:
        raise CurationError(f"unknown kind of test set {kind!r}; choose one of {', '.join(KINDS)}")
    if not local.is_dir():
        raise CurationError(f"no folder {local}; give the local copy of the set")
    candidates, skipped = _candidates(local, kind, video)
    overlap = find_overlap(pd.DataFrame([c.row() for c in candidates], columns=_KEYS), training)
    if overlap and not exclude_overlap:
        shown = "; ".join(f"{name}: {why}" for name, why in list(overlap.items())[:5])
        raise CurationError(
            f"{len(overlap)} of {len(candidates)} files of {local} meet {training.name} ({shown}); take them out of the "
            "training data, or build with --exclude-overlap"
        )
    skipped |= overlap
    chosen = _spread([c for c in candidates if c.name not in overlap], limit)
    if not chosen:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:5])
        raise CurationError(f"no sample is left of {local} ({reasons or 'it holds no file'})")
    with whole_directory(destination) as folder:
        rows = [_write_sample(candidate, folder, video, detector) for candidate in chosen]
        if detector is not None:
            unseen = f"{detector.name} finds nobody in it, so it has no pose; for people set `encoders.keypoints: mediapipe`, or a published detector's folder"
            skipped |= {f"{row['name']}, its pose": unseen for row in rows if not row["pose"]}
        manifest = pd.DataFrame(sorted(rows, key=lambda row: row["sample_id"]), columns=MANIFEST_SCHEMA.names)
        digest = _digest(manifest)
        write_table(manifest, folder / MANIFEST, MANIFEST_SCHEMA, {"digest": digest})
        record = {
            "kind": kind,
            "digest": digest,
            "samples": len(manifest),
            "identities": int(manifest["identity"].nunique()),
            "disjoint_from": training.name,
            "bucket": f"{video.height}x{video.width}x{video.frames}@{video.fps:g}",
            "pose_detector": f"{detector.name} {detector.version}" if detector is not None else None,
            "manifest_sha256": sha256_of_file(folder / MANIFEST),
            "skipped": dict(sorted(skipped.items())),
        }
        (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")
    return TestSet(destination, manifest, digest, skipped)


def load_test_set(path: Path) -> TestSet:
    """Read a test set and check that it is still the frozen one, file by file.

    Raises:
        CurationError: a file is missing or has other bytes.
    """
    if not (path / RECORD).is_file():
        raise CurationError(f"no test set in {path}; build it with `omnihuman testset build`")
    record, manifest = json.loads((path / RECORD).read_text()), read_table(path / MANIFEST)
    files = [(MANIFEST, record["manifest_sha256"])]
    for column in ("reference", "audio", "pose"):
        named = manifest[manifest[column] != ""]
        files += zip(named[column], named[f"{column}_sha256"], strict=True)
    for name, expected in files:
        if not (path / name).is_file() or sha256_of_file(path / name) != expected:
            raise CurationError(f"{path / name} is missing or not the frozen file; restore it, or build the set again")
    return TestSet(path, manifest, record["digest"], record["skipped"])


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
        if sample.sha256 in files:
            found[sample.name] = f"the same file as clip {files[sample.sha256]}"
        elif sample.identity in people:
            found[sample.name] = f"the same identity ({sample.identity}) as clip {people[sample.identity]}"
        elif row >= 0:
            found[sample.name] = (
                f"nearly the same film as clip {records['clip'][row]:016x} ({distance} of 128 bits differ)"
            )
    return found


_KEYS = ["name", "sha256", "phash", "identity"]


@dataclass(frozen=True)
class _Candidate:
    name: str
    found: Examined
    identity: str
    sidecar: Sidecar

    def row(self) -> dict[str, str]:
        phash = self.found.pieces[0].phash.hex()
        return {"name": self.name, "sha256": self.found.sha256, "phash": phash, "identity": self.identity}


def _candidates(local: Path, kind: str, video: VideoConfig) -> tuple[list[_Candidate], dict[str, str]]:
    limits = Limits(video.frames / video.fps, video.fps, video.frames, "none")
    usable, skipped = [], {}
    for path in candidate_files(local):
        name = printable(path.relative_to(local))
        problem = why_not(kind, name)
        found = None if problem else examine(limits, path)
        if found is None or found.reason:
            skipped[name] = problem if found is None else f"{found.reason}: {found.message}"
            continue
        sidecar = read_sidecar(path)
        # Nobody named: each file is taken for a person of its own, and only content can tell it from training data.
        identity = sidecar.identity or identity_by_name(kind, name) or f"file:{found.sha256[:16]}"
        usable.append(_Candidate(name, found, identity, sidecar))
    return usable, skipped


def _spread(candidates: Sequence[_Candidate], limit: int | None) -> list[_Candidate]:
    """One sample of each person, then a second of each, in an order that the content alone decides."""
    order = sorted(candidates, key=lambda c: c.found.sha256)
    rank: dict[str, int] = {}
    ranked = []
    for candidate in order:
        rank[candidate.identity] = rank.get(candidate.identity, -1) + 1
        ranked.append((rank[candidate.identity], candidate.found.sha256, candidate))
    return [candidate for _, _, candidate in sorted(ranked, key=lambda entry: entry[:2])][:limit]


def _write_sample(
    candidate: _Candidate, folder: Path, video: VideoConfig, detector: KeypointDetector | None
) -> dict[str, Any]:
    data, probe = candidate.found.path.read_bytes(), candidate.found.probe
    assert probe is not None
    sample_id = candidate.found.sha256[:16]
    row = {name: "" for name in MANIFEST_SCHEMA.names}
    row |= candidate.row()
    frame = _reference_frame(probe.duration, video)
    # A picture from outside the window where the clip has one: from inside it would freeze the motion.
    picture = decode_clip(Span(data, frame / video.fps, (frame + 1) / video.fps), video.fps).frames[0]
    done, png = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise CurationError(f"OpenCV could not encode the reference of {candidate.name} as PNG")
    row |= _put(folder, "reference", f"references/{sample_id}.png", lambda path: path.write_bytes(png.tobytes()))
    sound = decode_clip(data, video.fps, video.sample_rate, transform=lambda image: image[:1, :1]).audio
    if sound is not None:
        samples = sound[: round(probe.duration * video.sample_rate)]
        row |= _put(
            folder,
            "audio",
            f"audio/{sample_id}.wav",
            lambda path: soundfile.write(path, samples, video.sample_rate, "PCM_16"),
        )
    if detector is not None:
        window = decode_clip(data, video.fps, max_seconds=video.frames / video.fps, transform=into_bucket(video)).frames
        keypoints = np.ascontiguousarray(detector(window[: video.frames]), np.float32)
        if (keypoints[..., 2] >= CONFIDENT).any():
            row |= _put(
                folder, "pose", f"poses/{sample_id}.safetensors", lambda path: save_file({"keypoints": keypoints}, path)
            )
    return row | {
        "sample_id": sample_id,
        "caption": candidate.sidecar.caption,
        "width": probe.width,
        "height": probe.height,
        "window_start": 0,
        "window_frames": video.frames,
        "reference_frame": frame,
        "fps": video.fps,
        "sample_rate": video.sample_rate,
        "seconds": probe.duration,
    }


def _reference_frame(seconds: float, video: VideoConfig) -> int:
    outside = video.frames - 1 + video.reference_gap
    return outside if outside < int(seconds * video.fps + 1e-3) else 0


def _put(folder: Path, column: str, name: str, write) -> dict[str, str]:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    write(path)
    return {column: name, f"{column}_sha256": sha256_of_file(path)}


def _digest(manifest: pd.DataFrame) -> str:
    return hashlib.sha256(manifest.to_json(orient="records").encode()).hexdigest()
