"""Metrics, each named for what it computes.

Those of the puppets' known truth are values over arrays; those that score any video are fed clip by clip
(`evaluation.metrics.streaming`), say what they need, and name the network that looked, with its weights' hash.
"""

from evaluation.metrics.bootstrap import Estimate, Metric, MetricScore, estimate
from evaluation.metrics.colour import ColourError
from evaluation.metrics.distances.distributions import (
    FrechetInceptionDistance,
    FrechetVideoDistance,
    ImageNetFrechetDistance,
    KernelInceptionDistance,
    KernelVideoDistance,
)
from evaluation.metrics.distances.frechet import (
    frechet_distance,
    frechet_distance_of_features,
    frechet_distance_of_samples,
)
from evaluation.metrics.diversity import JointDiversity, PixelDiversity
from evaluation.metrics.errors import MetricError
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
from evaluation.metrics.lip_sync import SyncConfidence, SyncDistance, SyncOffset
from evaluation.metrics.mouth import MouthCorrelation
from evaluation.metrics.observation.instruments import Sync, SyncJudge
from evaluation.metrics.people.found import FacesFound, HandKeypointsFound
from evaluation.metrics.people.head_and_eyes import BlinkRateError, HeadPoseError
from evaluation.metrics.people.mouth_motion import MouthOpeningCorrelation, MouthSoundCorrelation, MouthSoundLag
from evaluation.metrics.people.speech_quality import SpeechQuality
from evaluation.metrics.sharpness import HighFrequencyRatio
from evaluation.metrics.streaming import ClipMean, Network, Score, StreamingMetric
from evaluation.metrics.temporal import ColourDrift, Flicker, MotionMagnitude

__all__ = [
    "AverageKeypointDistance",
    "BlinkRateError",
    "ClipMean",
    "ColourDrift",
    "ColourError",
    "CosineSimilarity",
    "DiscMass",
    "DlibFaceDistance",
    "DlibFaceDrift",
    "Estimate",
    "FacesFound",
    "Flicker",
    "FrechetInceptionDistance",
    "FrechetVideoDistance",
    "HandKeypointConfidence",
    "HandKeypointVariance",
    "HandKeypointVariancePerBodyLength",
    "HandKeypointsFound",
    "HeadPoseError",
    "HighFrequencyRatio",
    "IdentityDrift",
    "ImageAesthetics",
    "ImageNetFrechetDistance",
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
    "MouthOpeningCorrelation",
    "MouthSoundCorrelation",
    "MouthSoundLag",
    "Network",
    "PeakSignalToNoise",
    "PixelDiversity",
    "Score",
    "SpeechQuality",
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
