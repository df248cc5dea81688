"""Detectors of people in the COCO-WholeBody-133 layout: DWPose and RTMW by path, MediaPipe out of a package."""

from curation.people.wholebody.dwpose import OnnxWholeBody
from curation.people.wholebody.holistic import MediaPipeHolistic

__all__ = ["MediaPipeHolistic", "OnnxWholeBody"]
