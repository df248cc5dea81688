"""Scores of a clip: each module one idea in numpy and OpenCV; `score_clip` computes all, `score_shard` a table."""

from curation.scores.clip import ClipScores, score_clip
from curation.scores.registry import SCORES, columns_of, switched_on, versions_digest
from curation.scores.table import ScoreReport, score_shard

__all__ = [
    "SCORES",
    "ClipScores",
    "ScoreReport",
    "columns_of",
    "score_clip",
    "score_shard",
    "switched_on",
    "versions_digest",
]
