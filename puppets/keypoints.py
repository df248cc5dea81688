"""Puppets as COCO-WholeBody-133 keypoints, the layout that detectors of real people give (DWPose, RTMW)."""

import numpy as np

from puppets.measure import measure, measure_mouth
from puppets.presence import is_puppet

KEYPOINTS = 133
# COCO body order is nose, eyes, ears, shoulders, elbows, wrists, ...; the order of puppets.pose is kept.
ARMS = (7, 9, 8, 10)  # left elbow, left wrist, right elbow, right wrist
# The 68 face points start at 23; in the iBUG order 62 is the inner upper lip's middle, 66 the inner lower lip's.
INNER_LIP_TOP, INNER_LIP_BOTTOM = 23 + 62, 23 + 66
FULL_CONFIDENCE_MASS = 0.5  # share of a whole disc that counts as surely seen


class PuppetKeypoints:
    """Reads keypoints from the puppets' saturated discs and dark mouth; everything else of the 133 has confidence 0, and so has
    everything in a frame that shows no puppet.

    `name` and `version` belong in the key of any cache that holds these keypoints.
    """

    name = "puppet-colours"
    version = "2"  # none in a frame without a puppet

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Detect on one clip.

        Args:
            frames: `(T, 64, 64, 3)` RGB, uint8 or float in [0, 1].

        Returns:
            `(T, 133, 3)` float32: x and y in pixels, confidence in [0, 1]. Missing points are all zero.

        Raises:
            ValueError: frames of another shape.
        """
        found, mouth = measure(frames), measure_mouth(frames)
        keypoints = np.zeros((len(frames), KEYPOINTS, 3), np.float32)
        confidence = np.where(found.missing, 0.0, np.minimum(1.0, found.mass / FULL_CONFIDENCE_MASS))
        keypoints[:, ARMS, :2] = np.nan_to_num(found.joints)
        keypoints[:, ARMS, 2] = confidence
        for point, side in ((INNER_LIP_TOP, -1.0), (INNER_LIP_BOTTOM, 1.0)):
            keypoints[:, point, 0] = mouth.centre[:, 0]
            keypoints[:, point, 1] = mouth.centre[:, 1] + side * mouth.half_height
            keypoints[:, point, 2] = mouth.confidence
        keypoints[~is_puppet(frames)] = 0.0
        keypoints[keypoints[..., 2] == 0.0] = 0.0
        return keypoints
