"""All scores there are, in the order of their columns."""

import hashlib
import json

from curation.scores.camera import CAMERA
from curation.scores.caption import CAPTION
from curation.scores.compression import COMPRESSION
from curation.scores.contract import Score, floats
from curation.scores.cuts import CUTS
from curation.scores.exposure import EXPOSURE
from curation.scores.language import LANGUAGE
from curation.scores.letterbox import LETTERBOX
from curation.scores.loudness import LOUDNESS
from curation.scores.motion import MOTION
from curation.scores.mouth_audio import MOUTH_AUDIO
from curation.scores.music import MUSIC
from curation.scores.noise import NOISE
from curation.scores.overlay_text import STROKES
from curation.scores.people import PEOPLE
from curation.scores.pose import POSE
from curation.scores.puppet_sync import PUPPET_SYNC
from curation.scores.qalign import QALIGN
from curation.scores.quality import QUALITY
from curation.scores.resolution import RESOLUTION
from curation.scores.sharpness import SHARPNESS
from curation.scores.sound import score as sound_score
from curation.scores.speakers import SPEAKERS
from curation.scores.speech import SPEECH
from curation.scores.stillness import STILLNESS
from curation.scores.syncnet import LIP_SYNC
from curation.scores.text_boxes import TEXT_BOXES
from profiles.scores import ScoresConfig

SOUND = Score("sound", "2", {"has_audio": "bool", **floats("audio_rms_db", "sound_share")}, ("audio",), sound_score)
SCORES: tuple[Score, ...] = (
    MOTION, CAMERA, STILLNESS, CUTS, STROKES, TEXT_BOXES, SHARPNESS, EXPOSURE, NOISE, COMPRESSION, LETTERBOX,
    RESOLUTION, QUALITY, QALIGN, SOUND, LOUDNESS, SPEECH, MUSIC, LANGUAGE, SPEAKERS, MOUTH_AUDIO, LIP_SYNC,
    PUPPET_SYNC, POSE, PEOPLE, CAPTION,
)  # fmt: skip


def switched_on(scores: ScoresConfig) -> tuple[Score, ...]:
    """The scores that a profile configures."""
    return tuple(score for score in SCORES if score.config(scores) is not None)


def columns_of(scores: ScoresConfig) -> dict[str, str]:
    """Columns of the scores that are on, and what they hold."""
    return {name: kind for score in switched_on(scores) for name, kind in score.columns.items()}


def versions_digest() -> str:
    """8 hex over every score's version: the version of the step that writes them all."""
    versions = {score.name: score.version for score in SCORES}
    return hashlib.sha256(json.dumps(versions, sort_keys=True).encode()).hexdigest()[:8]
