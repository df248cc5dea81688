"""Scores of who is seen, and of whether the mouth fits the sound."""
