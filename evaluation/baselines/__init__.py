"""Any method's folder of videos, scored on the same samples as everything else, beside ceilings and floors."""

from evaluation.baselines.comparison import BaselineComparison, compare_baselines
from evaluation.baselines.samples import BaselineError, Samples, folder_samples, puppet_samples
from evaluation.baselines.videos import ArrayVideos, FolderVideos
from evaluation.panel import Instruments

__all__ = [
    "ArrayVideos",
    "BaselineComparison",
    "BaselineError",
    "FolderVideos",
    "Instruments",
    "Samples",
    "compare_baselines",
    "folder_samples",
    "puppet_samples",
]
