"""The keypoint detector that a profile names."""

from pathlib import Path

from assets.core.steps import AssetError
from curation.people.keypoints import KeypointDetector
from curation.people.wholebody import MediaPipeHolistic, OnnxWholeBody
from profiles import Profile
from puppets import PuppetKeypoints


def keypoint_detector(profile: Profile) -> KeypointDetector:
    """`puppet` reads the puppets' coloured joints, `mediapipe` is the packaged detector of real people, anything else is
    the folder of a detector's two ONNX files.

    Raises:
        AssetError: the path is not there.
        curation.tables.storage.CurationError: the folder holds other files, or the package is not installed.
    """
    source = profile.encoders.keypoints
    if source == "puppet":
        return PuppetKeypoints()
    if source == "mediapipe":
        return MediaPipeHolistic.packaged()
    if not Path(source).exists():
        raise AssetError(
            f"encoders.keypoints is {source!r} and there is no such file; download a COCO-WholeBody-133 detector (DWPose "
            "or RTMW, ONNX) and give its folder, or set `encoders.keypoints: mediapipe` or `puppet`"
        )
    return OnnxWholeBody.from_folder(Path(source))
