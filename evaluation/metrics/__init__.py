"""Metrics, each named for what it computes.

Those of the puppets' known truth are values over arrays; those that score any video are fed clip by clip
(`evaluation.metrics.streaming`) and name the network that looked, with its weights' hash.
"""

from evaluation.metrics.bootstrap import Estimate, Metric, MetricScore, estimate
from evaluation.metrics.colour import ColourError
from evaluation.metrics.distances.distributions import (
    FrechetInceptionDistance,
    FrechetVideoDistance,
    KernelInceptionDistance,
    KernelVideoDistance,
)
from evaluation.metrics.distances.frechet import (
    frechet_distance,
    frechet_distance_of_features,
    frechet_distance_of_samples,
)
from evaluation.metrics.diversity import JointDiversity, PixelDiversity
from evaluation.metrics.face_similarity import CosineSimilarity, DlibFaceDistance, DlibFaceDrift, IdentityDrift
from evaluation.metrics.fidelity import PeakSignalToNoise
from evaluation.metrics.image_quality import ImageAesthetics, ImageQuality
from evaluation.metrics.joints import DiscMass, JointErrorMean, JointErrorMedian, MissingHands, MissingJoints
from evaluation.metrics.keypoints import (
    AverageKeypointDistance,
    HandKeypointConfidence,
    HandKeypointVariance,
    HandKeypointVariancePerBodyLength,
    MissingKeypoints,
)
from evaluation.metrics.lip_sync import Sync, SyncConfidence, SyncDistance, SyncJudge, SyncOffset
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.metrics.sharpness import HighFrequencyRatio
from evaluation.metrics.streaming import ClipMean, MetricError, Network, Score, StreamingMetric
from evaluation.metrics.temporal import ColourDrift, Flicker, MotionMagnitude

__all__ = [
    "AverageKeypointDistance",
    "ClipMean",
    "ColourDrift",
    "ColourError",
    "CosineSimilarity",
    "DiscMass",
    "DlibFaceDistance",
    "DlibFaceDrift",
    "Estimate",
    "Flicker",
    "FrechetInceptionDistance",
    "FrechetVideoDistance",
    "HandKeypointConfidence",
    "HandKeypointVariance",
    "HandKeypointVariancePerBodyLength",
    "HighFrequencyRatio",
    "IdentityDrift",
    "ImageAesthetics",
    "ImageQuality",
    "JointDiversity",
    "JointErrorMean",
    "JointErrorMedian",
    "KernelInceptionDistance",
    "KernelVideoDistance",
    "Metric",
    "MetricError",
    "MetricScore",
    "MissingHands",
    "MissingJoints",
    "MissingKeypoints",
    "MotionMagnitude",
    "MouthCorrelation",
    "Network",
    "PeakSignalToNoise",
    "PixelDiversity",
    "Score",
    "StreamingMetric",
    "Sync",
    "SyncConfidence",
    "SyncDistance",
    "SyncJudge",
    "SyncOffset",
    "estimate",
    "frechet_distance",
    "frechet_distance_of_features",
    "frechet_distance_of_samples",
]
