"""Metrics, each named for what it computes. All are pure numpy; none needs a network unless its name says so."""

from evaluation.metrics.bootstrap import Estimate, Metric, estimate
from evaluation.metrics.colour import ColourError
from evaluation.metrics.diversity import JointDiversity, PixelDiversity
from evaluation.metrics.fidelity import PeakSignalToNoise
from evaluation.metrics.frechet import frechet_distance, frechet_distance_of_samples
from evaluation.metrics.joints import DiscMass, JointErrorMean, JointErrorMedian, MissingJoints
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.metrics.sharpness import HighFrequencyRatio

__all__ = [
    "ColourError",
    "DiscMass",
    "Estimate",
    "HighFrequencyRatio",
    "JointDiversity",
    "JointErrorMean",
    "JointErrorMedian",
    "Metric",
    "MissingJoints",
    "MouthCorrelation",
    "PeakSignalToNoise",
    "PixelDiversity",
    "estimate",
    "frechet_distance",
    "frechet_distance_of_samples",
]
