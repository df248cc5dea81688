"""Metrics of real people without a network of their own: geometry of the keypoints that the profile's detector finds, and the given sound."""
