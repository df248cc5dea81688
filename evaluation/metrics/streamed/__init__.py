"""Metrics over arrays in the form that is fed clip by clip: the same formulas on one small record per clip."""
