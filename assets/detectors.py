"""The keypoint detector that a profile names."""

from pathlib import Path
from typing import TYPE_CHECKING

from assets.steps import AssetError
from profiles import Profile

if TYPE_CHECKING:
    from curation.keypoints import KeypointDetector


def keypoint_detector(profile: Profile) -> "KeypointDetector":
    """`puppet` reads the puppets' coloured joints; anything else is the path of a detector's weights.

    Raises:
        AssetError: the path is not there, or no reader for its format is part of this version.
    """
    source = profile.encoders.keypoints
    if source == "puppet":
        from puppets import PuppetKeypoints

        return PuppetKeypoints()
    if not Path(source).exists():
        raise AssetError(
            f"encoders.keypoints is {source!r} and there is no such file; download a COCO-WholeBody-133 detector (DWPose "
            "or RTMW, ONNX) and give its path, or set `encoders.keypoints: puppet`"
        )
    raise AssetError(
        f"encoders.keypoints is {source!r}: this version reads puppets' keypoints only; set `encoders.keypoints: puppet`"
    )
