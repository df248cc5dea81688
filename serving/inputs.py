"""Pictures, sound and pose as people have them, to what the model takes; each bad input is one error that says what to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from curation.bucket import choose_bucket, into_bucket
from curation.people.faces import NAME as BY_FACES
from curation.people.faces import count_people, find_faces
from curation.people.keypoints import CONFIDENT, FACE, KeypointDetector, detect
from media import MediaError, decode_clip, read_audio
from media.keypoints.keypoint_file import KeypointFileError, fit_keypoints, is_keypoint_file, read_keypoints
from media.photographs import is_photograph, read_photograph
from media.records.trained_on import PEOPLE, PUPPETS
from media.speech.length import LONGEST_ASKED, LONGEST_UNASKED, frames_of_sound, frames_together
from media.speech.level import measure_speech
from media.user_error import UserError
from profiles.schema import Bucket, VideoConfig
from puppets import PuppetKeypoints

SILENCE = 1e-4  # root mean square of samples in [-1, 1]: 80 dB below full scale
BEYOND = 1.0  # seconds that are read past the longest video, so that one which is too long can be told
CHUNK = 64  # pictures of a pose video at a time
CROPPED = 0.1  # share of the reference beyond which cutting to the model's shape is worth a note


class GenerateError(UserError):
    """An input that cannot be used; the message names the file and the remedy."""


@dataclass(frozen=True)
class Reference:
    """`image` `(H, W, 3)` uint8 in the bucket that is nearest to the picture's own shape; `notes` for people; `shows` a puppet or one of the
    people (`media.records.trained_on`), empty where nobody looked."""

    image: np.ndarray
    bucket: Bucket
    notes: tuple[str, ...]
    shows: str = ""


def read_reference(path: Path, video: VideoConfig, detector: KeypointDetector | None) -> Reference:
    """The person, from a picture or from the first frame of a video.

    Args:
        path: picture or video.
        video: buckets to choose from.
        detector: finds the face; where it finds none, the frontal faces of OpenCV's package count. None does not look for one.

    Raises:
        GenerateError: no such file, nothing readable, too large or too small, no face, or several people.
    """
    picture = read_picture(path, video.fps)
    height, width = picture.shape[:2]
    bucket = choose_bucket(width, height, max(b.frames for b in video.all_buckets), video)
    image = into_bucket(bucket)(picture)
    shows = "" if detector is None else _check_face(path, picture, image, detector)
    lost = 1 - min(width / height, bucket.width / bucket.height) / max(width / height, bucket.width / bucket.height)
    cut = f"{path}: {lost:.0%} of the {width}x{height} picture is cut off about its centre to fit {bucket.width}x{bucket.height}"
    return Reference(image, bucket, (cut,) if lost > CROPPED else (), shows)


@dataclass(frozen=True)
class SoundTrack:
    """`samples` `(S,)` float32 mono at the profile's rate; `notes` for people."""

    samples: np.ndarray
    notes: tuple[str, ...]


def read_sound(path: Path, video: VideoConfig, seconds: float | None, longest: float | None = None) -> SoundTrack:
    """A sound file, or a video with sound, of any rate and any number of channels (mixed to one).

    Args:
        path: of the file.
        video: the rate wanted.
        seconds: length of the video to make; None is the sound's own. No more sound than that is decoded.
        longest: of any video that is made; None is any length.

    Raises:
        GenerateError: no such file, no sound, shorter than one frame, not finite, or very long without `seconds`.
    """
    check_file(path, "audio")
    wanted = LONGEST_UNASKED if seconds is None or not np.isfinite(seconds) else seconds
    try:
        samples = read_audio(path, video.sample_rate, min(wanted, np.inf if longest is None else longest) + BEYOND)
    except MediaError as error:
        raise GenerateError(f"{path}: {error}") from error
    length = len(samples) / video.sample_rate
    if length * video.fps < 1 - 1e-6:
        raise GenerateError(
            f"{path} has {len(samples)} samples ({length:.4f} s); a video frame lasts {1 / video.fps:.4f} s: give a longer sound"
        )
    if not np.isfinite(samples).all():
        count = int((~np.isfinite(samples)).sum())
        raise GenerateError(
            f"{path} holds {count} samples that are not finite (NaN or infinite); export it again as 16-bit WAV"
        )
    if seconds is None and length > LONGEST_UNASKED:
        raise GenerateError(f"{path} is longer than {LONGEST_UNASKED:.0f} s; so much is made only with --seconds")
    # Squares and sum at once: an array of squares in double precision is twice as large as a long sound.
    quiet = float(np.sqrt(np.einsum("s,s->", samples, samples, dtype=np.float64) / len(samples))) < SILENCE
    far = measure_speech(samples).note
    note = f"{path} is silent: the mouth will stay closed" if quiet else f"{path}: {far}" if far else ""
    return SoundTrack(samples, (note,) if note else ())


@dataclass(frozen=True)
class Track:
    """`values` `(T, ...)` float32, one for each frame, in the bucket's pixels; `notes` for people."""

    values: np.ndarray
    notes: tuple[str, ...]


class TrackReader(Protocol):
    """What reads the file of a condition that is given as one value per frame (`profiles.conditions.TRACKS`)."""

    def __call__(
        self,
        path: Path,
        video: VideoConfig,
        bucket: Bucket,
        detector: KeypointDetector,
        drawn: list[int],
        longest: float | None = None,
    ) -> Track:
        """Read it.

        Args:
            path: of the file.
            video: the rate wanted.
            bucket: the shape that is generated.
            detector: of keypoints.
            drawn: keypoints that the model is shown as pose.
            longest: read about so many seconds at most; None reads all.

        Raises:
            GenerateError: a file that cannot be used.
        """


def read_pose(
    path: Path,
    video: VideoConfig,
    bucket: Bucket,
    detector: KeypointDetector,
    drawn: list[int],
    longest: float | None = None,
) -> Track:
    """Keypoints `(T, 133, 3)` of a video of any length, of which memory holds `CHUNK` pictures of the bucket's size, or of a file of keypoints.

    Arguments are `TrackReader`'s; the file is a video, or what `media.keypoints.keypoint_file` wrote, such as a frozen set's poses. A
    keypoint that is missing in a frame leaves its map empty there, and the model chooses.

    Raises:
        GenerateError: no such file, no video, no keypoints, or none of those wanted in any frame.
    """
    check_file(path, "pose")
    most = None if longest is None else longest + BEYOND
    if from_file := is_keypoint_file(path):
        keypoints = _stored_keypoints(path, video, bucket, most)
    else:
        keypoints = _detected_keypoints(path, video, bucket, detector, most)
    seen = keypoints[:, drawn, 2] >= CONFIDENT
    if not seen.any():
        by = "" if from_file else f" (detector {detector.name})"
        raise GenerateError(
            f"{path}: none of the joints that the model knows is seen in any frame{by}; give a video in which the arms can be seen"
        )
    missing = f"{path}: {1 - seen.mean():.0%} of the joints are not seen; there the model chooses"
    return Track(keypoints, (missing,) if not seen.all() else ())


READERS: dict[str, TrackReader] = {"pose": read_pose}


def _stored_keypoints(path: Path, video: VideoConfig, bucket: Bucket, most: float | None) -> np.ndarray:
    try:
        keypoints = fit_keypoints(read_keypoints(path), bucket.height, bucket.width, video.fps)
    except KeypointFileError as error:
        raise GenerateError(str(error)) from error
    return keypoints if most is None else keypoints[: int(most * video.fps)]


def _detected_keypoints(
    path: Path, video: VideoConfig, bucket: Bucket, detector: KeypointDetector, most: float | None
) -> np.ndarray:
    finding = _ChunkedDetection(detector, bucket)
    try:
        shown = decode_clip(path, video.fps, video.sample_rate, most, finding.take).frames
    except MediaError as error:
        raise GenerateError(f"{path}: {error}") from error
    return finding.keypoints()[np.ascontiguousarray(shown).view(np.uint32)[:, 0]]


class _ChunkedDetection:
    """Finds keypoints of the pictures that it is shown. A detector follows a person within a chunk, as it does within a clip."""

    def __init__(self, detector: KeypointDetector, bucket: Bucket):
        self._detector, self._fit = detector, into_bucket(bucket)
        self._waiting: list[np.ndarray] = []
        self._found: list[np.ndarray] = []
        self._taken = 0

    def take(self, image: np.ndarray) -> np.ndarray:
        """Remember one picture; returns its number as bytes: what a decoder keeps of it, and repeats where the video stands."""
        self._waiting.append(self._fit(image))
        if len(self._waiting) == CHUNK:
            self._detect()
        self._taken += 1
        return np.array([self._taken - 1], np.uint32).view(np.uint8)

    def keypoints(self) -> np.ndarray:
        """`(pictures, 133, 3)` float32."""
        self._detect()
        return np.concatenate(self._found)

    def _detect(self) -> None:
        if self._waiting:
            self._found.append(detect(self._detector, np.stack(self._waiting)).keypoints)
            self._waiting = []


def frames_wanted(
    video: VideoConfig,
    seconds: float | None,
    sound: SoundTrack | None,
    tracks: Mapping[str, Track],
    default: int,
    longest: float | None = None,
) -> int:
    """Length of the video: as asked, else of the sound, else of the shortest track, else one segment.

    Sound that ends earlier goes on in silence, sound or a track that goes on is cut; a track that ends earlier is refused, unless by the
    rest of the sound's last frame.

    Raises:
        GenerateError: no length at all, longer than `longest` or `LONGEST_ASKED` seconds, or a track that is too short.
    """
    shortest = min((len(track.values) for track in tracks.values()), default=None)
    if seconds is not None and not np.isfinite(seconds):
        raise GenerateError(f"--seconds {seconds:g} is no length; give a number of seconds")
    of_sound = None if sound is None else frames_of_sound(len(sound.samples), video.fps, video.sample_rate)
    asked = frames_together(seconds, video.fps, of_sound, shortest)
    frames = default if asked is None else asked
    if frames < 1:
        raise GenerateError(f"--seconds {seconds:g} is less than one frame ({1 / video.fps:.4f} s); ask for more")
    if frames > LONGEST_ASKED * video.fps:
        raise GenerateError(
            f"the video would be longer than {LONGEST_ASKED / 3600:g} hours, and its sound is held in memory; make it in parts"
        )
    if longest is not None and frames > longest * video.fps:
        raise GenerateError(
            f"the video would be longer than {longest:g} s, the most that is made here; set --seconds, or give a shorter sound or pose"
        )
    for name, track in tracks.items():
        if len(track.values) < frames:
            raise GenerateError(
                f"the {name} video has {len(track.values)} frames at {video.fps:g} fps and {frames} are to be made; give a longer one, "
                f"or --seconds {len(track.values) / video.fps:g}"
            )
    return frames


def read_picture(path: Path, fps: float) -> np.ndarray:
    """`(H, W, 3)` uint8 RGB of a picture, or of a video's first frame, at its own size. Raises GenerateError."""
    check_file(path, "image")
    if is_photograph(path):
        try:
            return read_photograph(path)
        except MediaError as error:
            raise GenerateError(str(error)) from error
    try:
        return decode_clip(path, fps, max_seconds=0.1).frames[0]
    except MediaError as error:
        raise GenerateError(f"{path} is neither a picture nor a video that can be read: {error}") from error


def check_file(path: Path, option: str) -> None:
    """Whether a file is there for the option. Raises GenerateError: nothing is, or a folder."""
    if path.is_dir():
        raise GenerateError(f"--{option} {path} is a folder; name one file in it")
    if not path.is_file():
        raise GenerateError(f"--{option} {path}: no such file")


def _check_face(path: Path, picture: np.ndarray, image: np.ndarray, detector: KeypointDetector) -> str:
    """Whom the picture shows; `image` is `picture` in the bucket, where the detector looks."""
    found = detect(detector, image[None])
    people = 0 if found.people is None else int(found.people[0])
    if (found.keypoints[0, FACE, 2] >= CONFIDENT).any():
        by, shows = detector.name, PUPPETS if detector.name == PuppetKeypoints.name else PEOPLE
    else:
        # A puppet's detector knows no people, and one of people may see too little in the bucket's few pixels.
        faces = find_faces(picture)
        by, shows = f"{detector.name}, {BY_FACES}", PEOPLE
        people = max(people, count_people(faces))
        if not len(faces):
            raise GenerateError(
                f"{path} shows no face (detector {by}); give a picture of one person from the front, or pass --no-face-check"
            )
    if people > 1:
        raise GenerateError(
            f"{path} shows {people} people (detector {by}); cut it to the one who is to talk, or pass --no-face-check"
        )
    return shows
