"""Condition features of a shard: every frozen encoder run once per sample, each one's part cached under a key of all it depends on.

Rows of one bucket stand in files of their own, `features-<bucket>-<first row>.safetensors`: a tensor's rows have one shape. Texts, of
any length, stand in `text-<first>.safetensors` for all buckets.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import Any

import pandas as pd

from curation.features.bucket_features import BucketWork, Counted, Place
from curation.features.encoders import Encoders, encoder_identity
from curation.features.feature_cache import PARTS, FeatureCache
from curation.features.feature_files import SAMPLES_SCHEMA, features_digest
from curation.features.side_by_side import encoders_here
from curation.features.text_features import write_texts
from curation.features.training_samples import ClipRequest, Sample, plan_samples
from curation.tables.contracts import SAMPLES
from curation.tables.failures import Failure, failure_rows, refuse_if_all_fail_alike
from curation.tables.quarantine import quarantined_clips, split_by_contract, write_quarantine
from curation.tables.storage import CurationError, read_table, read_table_metadata, write_table
from curation.workers import OverClips, Progress, map_over_clips
from media import whole_directory
from media.features.hash_store import HashStore
from media.features.places import LAYOUT
from media.records import EncodersRecord
from omnihuman.conditions.prompts import clean_prompt
from profiles import Profile


@dataclass(frozen=True)
class FeatureReport:
    """`samples` rows, of which `reused` came whole from the features that were there; of `encoded` some part was computed, and
    `computed` says of how many each part.

    `bytes` counts the feature files; `features_sha256` is a hash over theirs; `failed` are clips that could not be encoded; `left_out` counts
    clips that no subset keeps and that have no features.
    """

    path: Path
    samples: int
    reused: int
    encoded: int
    seconds: float
    features_sha256: str
    bytes: int
    computed: dict[str, int]
    failed: tuple[Failure, ...] = ()
    left_out: int = 0


def build_features(
    shard_dir: Path,
    scores_dir: Path,
    destination: Path,
    profile: Profile,
    progress: Progress | None = None,
    encoders: Encoders | None = None,
    pieces: Path | None = None,
    hashes: Path | None = None,
    subsets_dir: Path | None = None,
    over_clips: OverClips = map_over_clips,
) -> FeatureReport:
    """Write `destination/` samples.parquet, quarantine.parquet, encoders.json, texts and features files of each bucket that has samples.

    A planned sample that breaks the contract of samples.parquet is quarantined before anything is encoded for it; a clip that
    cannot be decoded or encoded, however it fails, is quarantined with the failure as its reason, and the others go on.
    What stands in `destination` already under the key of its part is copied, out of the first layout too; when every row does, no
    encoder is loaded, and where it stands as it would be written nothing is. A clip of which only the caption changed is not decoded.

    A clip outside the text subset, in which the other subsets lie, is encoded for nobody and left out. One whose features stand is kept: a
    threshold that moves up and down again costs a table and no file.

    Args:
        shard_dir: the raw shard.
        scores_dir: its scores; they say what a clip's caption is, how many frames it has and where its keypoints are.
        destination: this shard's features.
        profile: buckets and encoders.
        progress: called with (samples done, samples to encode, note).
        encoders: loaded already, when several shards follow one another, or in actors of a cluster.
        pieces: folder of this shard alone, where what is encoded is kept until all is: a build that was killed goes on from
            there. None keeps nothing.
        subsets_dir: this shard's subsets; None takes every clip.
        hashes: file that keeps the hashes of what is written (`media.features.hash_store`), so that nobody after hashes it again.
        over_clips: who decodes: processes of this machine, or actors of a cluster.

    Raises:
        CurationError: inputs are incomplete or do not belong together, or all of many clips fail alike.
        ProfileError, FileNotFoundError, OSError: weights are missing.
    """
    started = time.monotonic()
    clips, scores = read_table(shard_dir / "clips.parquet"), read_table(scores_dir / "scores.parquet")
    if set(clips["clip_id"]) != set(scores["clip_id"]) | set(quarantined_clips(scores_dir)):
        raise CurationError(f"{scores_dir} does not belong to {shard_dir}: other clips; score the shard again")
    identity = encoder_identity(profile, read_table_metadata(scores_dir / "scores.parquet")["keypoints"])
    columns = ["clip_id", "caption", "keypoints_offset", "keypoints_frames"]
    if "caption" not in scores:
        raise CurationError(f"{scores_dir} has no captions, an older version made it; score the shard again")
    # The caption that the scores chose: clips.parquet has the sidecar's alone. As the text encoder reads it, so that captions
    # that differ in HTML and white space alone are one.
    scores["caption"] = scores["caption"].map(clean_prompt)
    requests = plan_samples(clips.drop(columns="caption").merge(scores[columns], on="clip_id"), profile.video, identity)
    cache = FeatureCache.of(destination, pieces, profile.encoders.latents, profile.encoders.audio_states)
    planned = requests
    if subsets_dir is not None:
        requests = _kept(planned, read_table(subsets_dir / "subsets.parquet"), cache)
    left_out = sorted({r.clip_id for r in planned if r.samples} - {r.clip_id for r in requests})
    requests, refused = _keeping_the_contract(requests, clips)
    samples = [sample for request in requests for sample in request.samples]
    lacking = {sample.sample_id: cache.lacking(sample) for sample in samples}
    computed = {part: sum(part in parts for parts in lacking.values()) for part in PARTS}
    total = sum(map(bool, lacking.values()))
    reused = len(samples) - total
    table = destination / "samples.parquet"
    made = read_table_metadata(table) if table.is_file() else {}
    same = cache.order == tuple(s.feature_key for s in samples)
    same = same and EncodersRecord.read_if_there(destination) == EncodersRecord(identity)
    if same and made.get("layout") == LAYOUT and (destination / "quarantine.parquet").is_file():
        seconds = time.monotonic() - started
        sizes = made["features_sha256"], made["features_bytes"]
        return FeatureReport(destination, len(samples), reused, 0, seconds, *sizes, computed, left_out=len(left_out))
    counted, failed = Counted(total, progress), dict[str, Failure]()
    loaded: Callable[[], Encoders] = once(lambda: encoders or encoders_here(profile))
    with whole_directory(destination) as folder:
        files: dict[str, Path] = {}
        places: dict[str, Place] = {}
        if samples:
            null_text = cache.null_text() if _same_text_encoder(destination, identity) else None
            texts = write_texts(folder, samples, cache, loaded, null_text, pieces)
            files |= texts.files
            counted.add(sum(parts == {"text"} for parts in lacking.values()))
        for bucket in profile.video.all_buckets:
            mine = [r for r in requests if r.samples and r.samples[0].bucket == bucket]
            if not mine:
                continue
            work = BucketWork(
                shard_dir,
                scores_dir,
                cache,
                lacking,
                loaded,
                profile.video,
                bucket,
                pieces,
                profile.encoders,
                over_clips,
            )
            written, placed, lost = work.write(folder, mine, texts, counted)
            files, places, failed = files | written, places | placed, failed | lost
        kept = HashStore(hashes)
        made_files = {name: kept.sha256(path) for name, path in files.items()}
        size = sum(path.stat().st_size for path in files.values())
        # Another layout of the same numbers: the digest stays that of the files that they were first in, so that a snapshot of them,
        # and what was trained on it, stays what it was.
        unchanged = same and total == 0 and "features_sha256" in made
        digest = made["features_sha256"] if unchanged else features_digest(made_files)
        metadata = {
            "layout": LAYOUT,
            "features_sha256": digest,
            "features_bytes": size,
            "files": made_files,
            "left_out": left_out,
        }
        samples = [sample for sample in samples if sample.sample_id in places]
        failures = {failure.clip_id: failure for failure in failed.values()}
        refuse_if_all_fail_alike(failures, sum(bool(r.samples) for r in requests), shard_dir.name)
        refused = pd.concat([refused, failure_rows(list(failures.values()), clips)], ignore_index=True)
        write_table(_samples_table(samples, places), folder / "samples.parquet", SAMPLES_SCHEMA, metadata, SAMPLES)
        write_quarantine(folder, refused)
        EncodersRecord(identity).write(folder)
    if pieces is not None:
        shutil.rmtree(pieces, ignore_errors=True)
    seconds, failed_clips = time.monotonic() - started, tuple(failures.values())
    return FeatureReport(
        destination, len(samples), reused, total, seconds, digest, size, computed, failed_clips, len(left_out)
    )


def _kept(requests: list[ClipRequest], subsets: pd.DataFrame, cache: FeatureCache) -> list[ClipRequest]:
    """Clips of the text subset, and those of whose samples one stands in finished features."""
    text, standing = set(subsets.loc[subsets["text"], "clip_id"]), set(cache.order)
    return [r for r in requests if r.clip_id in text or any(s.feature_key in standing for s in r.samples)]


def _same_text_encoder(folder: Path, identity: dict[str, Any]) -> bool:
    """Whether what stands was made with this text encoder, so that its empty prompt is today's."""
    record = EncodersRecord.read_if_there(folder)
    keys = ("text", "text_2", "text_3", "text_tokens", "dtype", "row")
    return record is not None and all(record.values.get(key) == identity.get(key) for key in keys)


def _keeping_the_contract(requests: list[ClipRequest], clips: pd.DataFrame) -> tuple[list[ClipRequest], pd.DataFrame]:
    """The plan without the samples that break the contract, and quarantine rows for those."""
    planned = _samples_table([sample for request in requests for sample in request.samples], {})
    kept, refused = split_by_contract(planned, SAMPLES, clips, "samples.parquet")
    if refused.empty:
        return requests, refused
    ids = set(kept["sample_id"])
    return [replace(r, samples=tuple(s for s in r.samples if s.sample_id in ids)) for r in requests], refused


def _samples_table(samples: list[Sample], places: dict[str, Place]) -> pd.DataFrame:
    """Rows of samples.parquet; a sample without a place is only planned."""
    planned: Place = ("", -1)
    rows: list[dict[str, Any]] = [
        {
            "sample_id": sample.sample_id,
            "clip_id": sample.clip_id,
            "bucket": places.get(sample.sample_id, planned)[0],
            "row": places.get(sample.sample_id, planned)[1],
            "window_start": sample.window.start,
            "reference_frame": sample.window.reference_frame,
            "reference_outside": sample.window.reference_outside,
            "has_motion": sample.window.has_motion,
            "feature_key": sample.feature_key,
            **{f"{part}_key": key for part, key in sample.part_keys.items()},
        }
        for sample in samples
    ]
    return pd.DataFrame(rows, columns=SAMPLES_SCHEMA.names)
