"""The keypoint detector that a profile names."""

from pathlib import Path
from typing import TYPE_CHECKING

from assets.core.steps import AssetError
from profiles import Profile

if TYPE_CHECKING:
    from curation.people.keypoints import KeypointDetector


def keypoint_detector(profile: Profile) -> "KeypointDetector":
    """`puppet` reads the puppets' coloured joints, `mediapipe` is the packaged detector of real people, anything else is
    the folder of a detector's two ONNX files.

    Raises:
        AssetError: the path is not there.
        curation.tables.storage.CurationError: the folder holds other files, or the package is not installed.
    """
    source = profile.encoders.keypoints
    if source == "puppet":
        from puppets import PuppetKeypoints

        return PuppetKeypoints()
    if source == "mediapipe":
        from curation.people.wholebody import MediaPipeHolistic

        return MediaPipeHolistic.packaged()
    if not Path(source).exists():
        raise AssetError(
            f"encoders.keypoints is {source!r} and there is no such file; download a COCO-WholeBody-133 detector (DWPose "
            "or RTMW, ONNX) and give its folder, or set `encoders.keypoints: mediapipe` or `puppet`"
        )
    from curation.people.wholebody import OnnxWholeBody

    return OnnxWholeBody.from_folder(Path(source))
