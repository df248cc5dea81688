"""The keypoint detector that a profile names, whom it does not know, and what hides faces on its pages."""

from pathlib import Path

import pandas as pd

from assets.core.steps import AssetError
from curation.people.face_blur import FaceBlur
from curation.people.faces import NAME as BY_FACES
from curation.people.keypoints import KeypointDetector
from curation.people.wholebody import MediaPipeHolistic, OnnxWholeBody
from media.hiding import Hide, as_it_is
from profiles import Profile
from puppets import PuppetKeypoints

PUPPETS = "puppet"


def keypoint_detector(profile: Profile) -> KeypointDetector:
    """`puppet` reads the puppets' coloured joints, `mediapipe` is the packaged detector of real people, anything else is
    the folder of a detector's two ONNX files.

    Raises:
        AssetError: the path is not there.
        curation.errors.CurationError: the folder holds other files, or the package is not installed.
    """
    source = profile.encoders.keypoints
    if source == PUPPETS:
        return PuppetKeypoints()
    if source == "mediapipe":
        return MediaPipeHolistic.packaged()
    if not Path(source).exists():
        raise AssetError(
            f"encoders.keypoints is {source!r} and there is no such file; download a COCO-WholeBody-133 detector (DWPose "
            "or RTMW, ONNX) and give its folder, or set `encoders.keypoints: mediapipe` or `puppet`"
        )
    return OnnxWholeBody.from_folder(Path(source))


def unread_people(profile: Profile, scores: pd.DataFrame) -> str:
    """Say that clips show people whom the profile's detector of puppets does not know, how many, and what to do; empty where none do.

    Args:
        profile: names the detector.
        scores: rows of a score table.
    """
    if profile.encoders.keypoints != PUPPETS or "person_by" not in scores:
        return ""
    clips = int((scores["person_by"] == BY_FACES).sum())
    if not clips:
        return ""
    return (
        f"{clips} of {len(scores)} clips show people, and encoders.keypoints is '{PUPPETS}', which finds no keypoints of theirs: mouth and pose "
        "count as unseen, so they train text and reference alone; for clips of people run `make people-and-text` and set "
        "`encoders.keypoints: mediapipe`, or the folder of a published detector"
    )


def face_hider(profile: Profile) -> Hide:
    """What pictures of clips go through before a page shows them: nothing, or with `reports.blur_faces` a blur of every face.

    Raises:
        AssetError, curation.tables.storage.CurationError: as `keypoint_detector`.
    """
    if not profile.reports.blur_faces:
        return as_it_is
    return FaceBlur(None if profile.encoders.keypoints == PUPPETS else keypoint_detector(profile))
