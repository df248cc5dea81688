"""Condition features: samples cut from clips, encoded once, cached by content."""
