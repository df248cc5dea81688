"""Keypoints of people, and the detectors that find them."""
