"""Synthetic talking people with exactly known ground truth: rendered from a seed, measured back from pixels."""

from puppets.keypoints import PuppetKeypoints
from puppets.measure import Measurement, measure, measure_colours
from puppets.presence import is_puppet
from puppets.render import KINDS, Puppet, render

__all__ = ["KINDS", "Measurement", "Puppet", "PuppetKeypoints", "is_puppet", "measure", "measure_colours", "render"]
