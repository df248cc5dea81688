"""Scores of a clip: each module one idea in numpy and OpenCV, listed in `registry`; `clip` computes all of one, `table` of a shard."""
