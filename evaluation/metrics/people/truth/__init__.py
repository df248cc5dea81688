"""Metrics of rendered people against their exact truth. Networks read the generated pixels, and nothing reads the real clip.

Fed with the truth's own keypoints each of them is perfect, so that what it reads on the clips themselves is the detector's error: its ceiling.
"""
