"""Synthetic talking people with exactly known ground truth: rendered from a seed, measured back from pixels."""

from puppets.keypoints import PuppetKeypoints
from puppets.measure import Measurement, measure, measure_colours
from puppets.render import KINDS, Puppet, render

__all__ = ["KINDS", "Measurement", "Puppet", "PuppetKeypoints", "measure", "measure_colours", "render"]
