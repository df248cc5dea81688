"""Texts of a shard: each caption encoded once, whatever the number of its samples, and written without padding."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from curation.features.encoders import Encoders
from curation.features.feature_cache import FeatureCache, PieceKeeper
from curation.features.feature_writer import TextWriter
from curation.features.training_samples import Sample
from curation.tables.failures import Failure, failure_of, is_the_clips_own

BATCH = 16


@dataclass
class WrittenTexts:
    """Number of each text by its key, the files, and what could not be encoded."""

    numbers: dict[str, int] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, Failure] = field(default_factory=dict)


def write_texts(
    folder: Path,
    samples: list[Sample],
    cache: FeatureCache,
    encoders: Callable[[], Encoders],
    null_text: np.ndarray | None,
    pieces: Path | None,
) -> WrittenTexts:
    """Write the texts of all samples, the empty prompt first.

    Args:
        folder: of the shard's new features.
        samples: of all buckets; one of each caption is enough to find or to encode it.
        cache: what stands already.
        encoders: loads them where they are needed.
        null_text: `(L, D)` of the empty prompt, where it stands already.
        pieces: where a build that is killed finds its work again.
    """
    first = {sample.part_keys["text"]: sample for sample in reversed(samples)}
    keys = list(dict.fromkeys(sample.part_keys["text"] for sample in samples))
    keeper, found = PieceKeeper(pieces, "text") if pieces is not None else None, WrittenTexts()
    null_text = encoders().null_text() if null_text is None else null_text
    with TextWriter(folder, len(null_text)) as writer:
        writer.add(null_text)
        # In their order, so that the bytes do not depend on which of them stood already.
        for start in range(0, len(keys), BATCH):
            group = keys[start : start + BATCH]
            ready = {key: cache.text(first[key]) for key in group}
            lacking = [first[key] for key, states in ready.items() if states is None]
            ready |= _encode(lacking, encoders, found.failed, keeper) if lacking else {}
            found.numbers |= {key: writer.add(states) for key in group if (states := ready[key]) is not None}
    found.files = writer.files
    return found


def _encode(
    samples: list[Sample],
    encoders: Callable[[], Encoders],
    failed: dict[str, Failure],
    keeper: PieceKeeper | None,
) -> dict[str, np.ndarray]:
    """States by key; where a batch fails, each caption alone, so that one costs no other its text."""
    try:
        states = encoders().encode_captions([sample.caption for sample in samples])
    except Exception as error:
        if not is_the_clips_own(error):
            raise
        if len(samples) > 1:
            return {key: row for s in samples for key, row in _encode([s], encoders, failed, keeper).items()}
        failed[samples[0].part_keys["text"]] = failure_of(samples[0].clip_id, "encoding text", error)
        return {}
    keys = [sample.part_keys["text"] for sample in samples]
    if keeper is not None:
        keeper.add("text", keys, states)
    return dict(zip(keys, states["text"], strict=True))
