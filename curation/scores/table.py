"""The score table of a shard: one row per clip, one column per score; no clip is ever dropped."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from safetensors.numpy import save_file

from curation.archive import read_clip
from curation.bucket import load_bucket_clip
from curation.contracts import SCORES as SCORES_CONTRACT
from curation.keypoints import KEYPOINTS, KeypointDetector
from curation.scores.clip import SCORES, ClipScores, score_clip, score_versions
from curation.storage import CurationError, read_table, write_table
from curation.workers import Progress, map_over_clips
from media import MediaError, whole_directory
from profiles import Profile

SCORES_SCHEMA = pa.schema(
    [("clip_id", pa.string())]
    + [(name, pa.bool_() if name == "has_audio" else pa.float64()) for name in SCORES]
    + [("keypoints_offset", pa.int64()), ("keypoints_frames", pa.int64())]
)


@dataclass(frozen=True)
class ScoreReport:
    """`clips` scored in `seconds`; `versions` is what stands in the table's metadata."""

    path: Path
    clips: int
    seconds: float
    versions: dict[str, object]


def score_shard(
    shard_dir: Path,
    destination: Path,
    detector: KeypointDetector,
    profile: Profile,
    progress: Progress | None = None,
) -> ScoreReport:
    """Decode each clip once and write `destination/` scores.parquet and keypoints.safetensors.

    Raises:
        CurationError: the shard is incomplete, or a clip that was decodable at ingest no longer is.
    """
    started = time.monotonic()
    clips = read_table(shard_dir / "clips.parquet")
    work = _Work(shard_dir, detector, profile)
    rows, keypoints, offset = [], [], 0
    records = clips[["clip_id", "width", "height", "fps"]].to_dict("records")
    for record, scored in zip(records, map_over_clips(_score, work, records, progress, "scoring clips"), strict=True):
        frames = len(scored.keypoints)
        rows.append(
            {"clip_id": record["clip_id"], **scored.values, "keypoints_offset": offset, "keypoints_frames": frames}
        )
        keypoints.append(scored.keypoints)
        offset += frames
    versions = score_versions(detector, profile.video, profile.transformer.pose_keypoints)
    table = pd.DataFrame(rows, columns=SCORES_SCHEMA.names)
    with whole_directory(destination) as folder:
        write_table(table, folder / "scores.parquet", SCORES_SCHEMA, versions, SCORES_CONTRACT)
        every = np.concatenate(keypoints) if keypoints else np.zeros((0, KEYPOINTS, 3), np.float32)
        save_file({"keypoints": every}, folder / "keypoints.safetensors")
    return ScoreReport(destination, len(rows), time.monotonic() - started, versions)


@dataclass(frozen=True)
class _Work:
    shard_dir: Path
    detector: KeypointDetector
    profile: Profile


def _score(work: _Work, record: dict) -> ClipScores:
    video = work.profile.video
    try:
        data = read_clip(work.shard_dir, record["clip_id"])
        clip = load_bucket_clip(data, record["width"], record["height"], record["fps"], video)
    except MediaError as error:
        raise CurationError(f"clip {record['clip_id']} of {work.shard_dir} cannot be decoded: {error}") from error
    return score_clip(clip, work.detector, video, work.profile.transformer.pose_keypoints)
