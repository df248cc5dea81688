"""Tests of serving/: versions, checks, the log of what was served."""
