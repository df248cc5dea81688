"""Scores of the sound."""
