"""Scores of a clip: each module one idea in numpy and OpenCV; `score_clip` computes all, `score_shard` a table."""

from curation.scores.clip import SCORES, ClipScores, score_clip
from curation.scores.table import ScoreReport, score_shard

__all__ = ["SCORES", "ClipScores", "ScoreReport", "score_clip", "score_shard"]
