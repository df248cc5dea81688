"""Checks of a video that was just made: is a face there, does its mouth move with the sound, is it the reference's, is it sharp."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from assets.core.workspace import Workspace
from curation.people.keypoints import CONFIDENT, KeypointDetector, detect, mouth_opening
from curation.people.keypoints import FACE as FACE_POINTS
from curation.scores.clip_media import evenly
from curation.scores.picture.luma import luma
from curation.scores.picture.sharpness import sharpness
from curation.scores.sound.mouth_audio import mouth_audio_correlation
from media.speech.mouth_and_sound import envelope
from profiles.schema import VideoConfig
from serving.checks.identity import IdentityReader
from serving.clip_measures import GRID, UNMARKED, read_made
from serving.generation import Prepared

LOOKED_AT = 32  # pictures of a video whose face is compared
# Bounds that a video of the served version should meet; what counts for a canary is how often it misses them beside that one.
FACE_SHARE = 0.5
MOUTH_CORRELATION = (
    0.3  # unrelated sounds and mouths of puppets reach 0.54, of which this is no proof (profiles/laptop.yaml)
)
SHARPNESS = 0.25  # of the reference's
FACE, MOUTH, IDENTITY, SHARP = "face", "mouth", "identity", "sharpness"


@dataclass(frozen=True)
class OutputChecks:
    """Of one video; NaN where it has no meaning, such as a mouth without sound.

    Attributes:
        face_share: of the frames that show a face.
        mouth_correlation: Pearson's r of mouth opening and loudness.
        identity_distance: of the face from the reference's, in the units of `identity_by`.
        identity_by: see `serving.checks.identity`.
        identity_farthest: beyond it the face is somebody else's.
        sharpness: over the reference's.
    """

    face_share: float
    mouth_correlation: float
    identity_distance: float
    identity_by: str
    identity_farthest: float
    sharpness: float

    def failed(self) -> tuple[str, ...]:
        """Names of the checks that it fails; what has no meaning fails none."""
        missed = {
            FACE: self.face_share < FACE_SHARE,
            MOUTH: self.mouth_correlation < MOUTH_CORRELATION,
            IDENTITY: self.identity_distance > self.identity_farthest,
            SHARP: self.sharpness < SHARPNESS,
        }
        return tuple(name for name, is_missed in missed.items() if is_missed)

    def values(self) -> dict[str, float | str | None]:
        """For JSON: NaN is null."""
        known = {name: value for name, value in asdict(self).items() if name != "identity_farthest"}
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value for name, value in known.items()
        }


class OutputChecker:
    """Checks videos of one profile."""

    def __init__(self, workspace: Workspace, detector: KeypointDetector):
        """Open what tells the profile's faces apart, beside its keypoint detector; raises as `IdentityReader`."""
        self._video: VideoConfig = workspace.profile.video
        self._detector = detector
        self._identity = IdentityReader(workspace.profile, self._detector)

    def __call__(self, path: Path, prepared: Prepared) -> OutputChecks:
        """Look at the first seconds of an mp4 that was made of `prepared`. Raises MediaError."""
        frames, inputs = read_made(path, prepared, self._video), prepared.inputs
        keypoints = detect(self._detector, frames).keypoints
        distance = sharper = correlation = math.nan
        if inputs.reference is not None:
            image, some = inputs.reference.image, evenly(len(frames), LOOKED_AT)
            shown = detect(self._detector, image[None]).keypoints
            distance = self._identity(frames[some], keypoints[some], image, shown)
            before = _sharpness(image[None])
            sharper = _sharpness(frames) / before if before else math.nan
        if inputs.sound is not None:
            heard = envelope(inputs.sound.samples, len(frames), self._video.fps, self._video.sample_rate)
            correlation = mouth_audio_correlation(mouth_opening(keypoints), heard)
        return OutputChecks(
            float((keypoints[:, FACE_POINTS, 2] >= CONFIDENT).any(axis=1).mean()),
            correlation,
            distance,
            self._identity.by,
            self._identity.farthest,
            sharper,
        )


def _sharpness(frames: np.ndarray) -> float:
    """Of `(T, H, W, 3)`, above the visible mark: its letters are sharp whatever the picture is."""
    return sharpness(luma(frames[:, : frames.shape[1] * UNMARKED // GRID]))
