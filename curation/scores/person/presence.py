"""Is anybody there: by the profile's keypoints, and where those find nobody, by faces."""

import numpy as np

from curation.people.faces import NAME, find_faces
from curation.people.keypoints import FACE, UPPER_BODY
from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values
from profiles.scores import PresenceConfig

NOBODY = "nobody"


def share_with_keypoints(keypoints: np.ndarray, confident: float) -> float:
    """Share in [0, 1] of frames of `(T, 133, 3)` in which a point of the face or the upper body has confidence above `confident`."""
    seen = keypoints[..., 2] > confident
    return float((seen[:, FACE].any(axis=1) | seen[:, UPPER_BODY].any(axis=1)).mean())


def score(material: Material, config: PresenceConfig) -> Values:
    """Columns `person_share`, the share of pictures that show somebody, and `person_by`, who says so.

    A clip in which the keypoint detector finds somebody less than half of the time is looked at again by `curation.people.faces`, in the
    few pictures at the source's size: a detector of puppets knows no people. The larger share counts. Where faces have the larger one the
    clip's keypoints say nothing of the person who is there (`assets.kinds.detectors.unread_people`).
    """
    share, by = share_with_keypoints(material.detected.keypoints, config.confident), material.bench.detector.name
    if share < 0.5:
        with_faces = float(np.mean([len(find_faces(image)) > 0 for image in material.native]))
        share, by = max((share, by), (with_faces, NAME), key=lambda pair: pair[0])
    return {"person_share": share, "person_by": by if share > 0 else NOBODY}


PRESENCE = Score("presence", "1", {"person_share": "float", "person_by": "text"}, ("keypoints", "native"), score)
