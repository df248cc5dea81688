"""Numbers of what a video was made from, by the score columns that say the same of a clip, so that one can be held against the other."""

import math

import numpy as np

from curation.bucket import BucketClip
from curation.people.keypoints import KeypointDetector
from curation.scores.clip_media import Bench, Material
from curation.scores.contract import Score
from curation.scores.person.people import PEOPLE
from curation.scores.picture.exposure import EXPOSURE
from curation.scores.picture.noise import NOISE
from curation.scores.picture.sharpness import SHARPNESS
from curation.scores.sound.level import SOUND
from curation.scores.sound.loudness import LOUDNESS
from profiles import Profile
from serving.generation import Prepared
from serving.inputs import read_picture

# What one picture has, and what a sound has; a column of a score that the profile does not use is not there.
OF_PICTURE: tuple[Score, ...] = (EXPOSURE, SHARPNESS, NOISE, PEOPLE)
OF_SOUND: tuple[Score, ...] = (SOUND, LOUDNESS)
SECONDS = "seconds"
# Of a head that turns and of a face that is covered now and then, one picture says too little.
KEPT = (
    "brightness",
    "contrast",
    "sharpness",
    "noise",
    "face_size",
    "audio_rms_db",
    "sound_share",
    "loudness_lufs",
    "snr_db",
)


def input_features(profile: Profile, detector: KeypointDetector, prepared: Prepared) -> dict[str, float | None]:
    """Values by column, None where one has no meaning: of the picture as it was given, of the sound, and the length of both.

    Args:
        profile: says which scores clips have, and with what settings.
        detector: the profile's.
        prepared: what the video is made of.

    Raises:
        GenerateError: the picture is not there any more.
    """
    inputs, video = prepared.inputs, profile.video
    bench = Bench(video, detector, profile.transformer.pose_keypoints, profile.curation.scores.native_frames)
    heard = round(prepared.video.frames / video.fps * video.sample_rate)
    sound = None if inputs.sound is None else inputs.sound.samples[:heard]
    values: dict[str, float] = {SECONDS: prepared.video.frames / video.fps}
    if inputs.reference is not None:
        own = read_picture(prepared.request.files["image"], video.fps)
        picture = Material.of_bucket(BucketClip(inputs.reference.image[None], sound), bench, own[None])
        values |= _values(OF_PICTURE, profile, picture)
    if sound is not None:
        nothing = np.zeros((1, prepared.video.height, prepared.video.width, 3), np.uint8)
        values |= _values(OF_SOUND, profile, Material.of_bucket(BucketClip(nothing, sound), bench))
    return {name: None if math.isnan(values[name]) else values[name] for name in (*KEPT, SECONDS) if name in values}


def _values(scores: tuple[Score, ...], profile: Profile, material: Material) -> dict[str, float]:
    found: dict[str, float] = {}
    for score in scores:
        config = score.config(profile.curation.scores)
        if config is not None:
            computed = score.compute(material, config).items()
            found |= {name: float(value) for name, value in computed if isinstance(value, bool | int | float)}
    return found
