"""What the table of a shard's features holds. No torch: the snapshot reads with this alone."""

import hashlib
import json
from collections.abc import Mapping

import pyarrow as pa

SAMPLES_SCHEMA = pa.schema(
    [
        ("sample_id", pa.string()),
        ("clip_id", pa.string()),
        ("bucket", pa.string()),
        ("row", pa.int64()),
        ("window_start", pa.int32()),
        ("reference_frame", pa.int32()),
        ("reference_outside", pa.bool_()),
        ("has_motion", pa.bool_()),
        ("feature_key", pa.string()),
        ("latents_key", pa.string()),
        ("audio_key", pa.string()),
        ("text_key", pa.string()),
    ]
)


def features_digest(files: Mapping[str, str]) -> str:
    """One sha256 for the name of each file to its sha256."""
    return hashlib.sha256(json.dumps(sorted(files.items())).encode()).hexdigest()
