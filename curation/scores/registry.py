"""All scores there are, in the order of their columns."""

import hashlib
import json

from curation.scores.caption import CAPTION
from curation.scores.contract import Score
from curation.scores.person.people import PEOPLE
from curation.scores.person.pose import POSE
from curation.scores.person.presence import PRESENCE
from curation.scores.person.puppet_sync import PUPPET_SYNC
from curation.scores.person.syncnet.score import LIP_SYNC
from curation.scores.picture.camera import CAMERA
from curation.scores.picture.compression import COMPRESSION
from curation.scores.picture.cuts import CUTS
from curation.scores.picture.exposure import EXPOSURE
from curation.scores.picture.letterbox import LETTERBOX
from curation.scores.picture.motion import MOTION
from curation.scores.picture.noise import NOISE
from curation.scores.picture.overlay_text import STROKES
from curation.scores.picture.qalign import QALIGN
from curation.scores.picture.quality import QUALITY
from curation.scores.picture.resolution import RESOLUTION
from curation.scores.picture.sharpness import SHARPNESS
from curation.scores.picture.stillness import STILLNESS
from curation.scores.picture.text_boxes import TEXT_BOXES
from curation.scores.sound.language import LANGUAGE
from curation.scores.sound.level import SOUND
from curation.scores.sound.loudness import LOUDNESS
from curation.scores.sound.mouth_audio import MOUTH_AUDIO
from curation.scores.sound.mouth_speech import MOUTH_SPEECH
from curation.scores.sound.music import MUSIC
from curation.scores.sound.speakers import SPEAKERS
from curation.scores.sound.speech import SPEECH
from profiles.scores import ScoresConfig

SCORES: tuple[Score, ...] = (
    MOTION, CAMERA, STILLNESS, CUTS, STROKES, TEXT_BOXES, SHARPNESS, EXPOSURE, NOISE, COMPRESSION, LETTERBOX,
    RESOLUTION, QUALITY, QALIGN, SOUND, LOUDNESS, SPEECH, MUSIC, LANGUAGE, SPEAKERS, MOUTH_AUDIO, MOUTH_SPEECH, LIP_SYNC,
    PUPPET_SYNC, PRESENCE, POSE, PEOPLE, CAPTION,
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
