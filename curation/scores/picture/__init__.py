"""Scores of the picture."""
