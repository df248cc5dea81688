"""Clips in; scores, nested subsets, condition features and a frozen training snapshot out."""
