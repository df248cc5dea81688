"""What each score of a clip may be told. A score without a configuration (null) is off and has no columns.

The values are those of the calibration in tests/curation/test_calibration.py; a changed one computes that score anew, and
no other.
"""

from typing import Annotated

from pydantic import Field, field_validator

from profiles.base import Positive, Ratio, Strict

Level = Annotated[float, Field(ge=0.0, le=255.0)]


class MotionConfig(Strict):
    """At most `pairs` neighbouring frames are measured; `border` pixels at each edge are left out."""

    pairs: Positive = 8
    border: Annotated[int, Field(ge=0)] = 6


class CameraConfig(Strict):
    """`pairs` neighbouring frames in runs of `run`; up to `corners` tracked points; `tolerance` pixels make an inlier."""

    pairs: Positive = 10
    run: Annotated[int, Field(ge=2)] = 5
    corners: Positive = 120
    tolerance: Annotated[float, Field(gt=0)] = 0.5


class StillnessConfig(Strict):
    """`repeated`: grey levels (mean over the picture) below which two frames are the same picture."""

    repeated: Level = 0.35


class CutsConfig(Strict):
    """`neighbours` frames on either side say what change is usual; changes well below `floor` grey levels are no cut."""

    neighbours: Positive = 3
    floor: Level = 3.0


class StrokesConfig(Strict):
    """Strokes that stand still over `frames` frames: see `curation.scores.overlay_text`."""

    frames: Positive = 16
    static: Level = 6.0
    stroke: Level = 60.0
    band: Ratio = 5 / 64
    full: Annotated[float, Field(gt=0)] = 16.0


class TextBoxesConfig(Strict):
    """PP-OCR's text detector: `model` is a path or `package:NAME/FILE`; `frames` pictures of a clip are read."""

    model: str = "package:rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx"
    frames: Positive = 3
    pixel_confidence: Ratio = 0.3
    box_confidence: Ratio = 0.6


class SharpnessConfig(Strict):
    """The picture scores read `native_frames` pictures; this one needs nothing else."""


class ExposureConfig(Strict):
    """Luma at or below `dark` and at or above `bright` is lost."""

    dark: Level = 8.0
    bright: Level = 250.0


class NoiseConfig(Strict):
    """Noise is read where the picture is flattest: in this `flattest` share of the blocks."""

    flattest: Annotated[float, Field(gt=0, le=1)] = 0.25


class CompressionConfig(Strict):
    """`block`: pixels of the coder's grid."""

    block: Annotated[int, Field(ge=4)] = 8


class LetterboxConfig(Strict):
    """A row or column is a bar where 98 % of it stays at or below `dark`."""

    dark: Level = 24.0


class ResolutionConfig(Strict):
    """`detail_bandwidth` is the frequency below which this share of the gradient's energy lies."""

    energy: Annotated[float, Field(gt=0, lt=1)] = 0.99
    window: Annotated[int, Field(ge=32)] = 256


class QualityConfig(Strict):
    """Where each part of `weightless_quality` is worth one half: sharpness, noise, blockiness, lost exposure."""

    sharpness: float = 60.0
    noise: float = 8.0
    blockiness: float = 0.35
    lost: float = 0.2


class QAlignConfig(Strict):
    """Q-Align by path: the folder of q-future/one-align, its weights as published or as safetensors."""

    weights: str


class PeopleConfig(Strict):
    """A keypoint counts as seen above `confident`, a group of them where `share` of it is seen."""

    confident: Ratio = 0.5
    share: Ratio = 0.5


class PresenceConfig(Strict):
    """A keypoint counts as seen above `confident`."""

    confident: Ratio = 0.5


class PoseConfig(Strict):
    """A keypoint counts as seen above `confident`."""

    confident: Ratio = 0.5


class MouthAudioConfig(Strict):
    """Lags of up to `lags` frames; fewer than `fewest` frames say nothing."""

    lags: Positive = 5
    fewest: Positive = 8


class MouthSpeechConfig(Strict):
    """The network that this project fits to speech (`training/recipes/mouth_from_sound.py`); for people, whose sound is speech.

    Lags of up to `lags` frames. `fewest` frames at each lag: over fewer, the speech of another fits too often.
    """

    weights: str = "package:networks/mouth_from_sound/model.safetensors"
    lags: Annotated[int, Field(ge=3)] = 5
    fewest: Positive = 16


class SoundConfig(Strict):
    """A 20 ms window counts as sound above `audible_db`."""

    audible_db: float = -45.0


class LoudnessConfig(Strict):
    """`clip_level` of full scale held for `clip_run` samples is clipping."""

    clip_level: Ratio = 0.985
    clip_run: Positive = 3


class SpeechConfig(Strict):
    """silero-vad: a window of 32 ms is speech at this probability."""

    model: str = "package:silero_vad/data/silero_vad.onnx"
    threshold: Ratio = 0.5


class LipSyncConfig(Strict):
    """SyncNet v2's weights by path, and its protocol (syncnet_python: `vshift` 15, crop scale 0.4)."""

    weights: str
    vshift: Positive = 15
    crop_scale: float = 0.4
    batch_size: Positive = 20


class PuppetSyncConfig(Strict):
    """The network that this project trains on puppets (`training/recipes/puppet_sync.py`); for pictures of puppets alone.

    Lags of up to `lags` frames; fewer than `fewest` windows at a lag say nothing.
    """

    weights: str = "package:profiles/laptop/puppet_sync/model.safetensors"
    lags: Positive = 5
    fewest: Positive = 8


class MusicConfig(Strict):
    """An Audio Spectrogram Transformer by path; a window is music where one of `labels` (names in its id2label) reaches
    `threshold`."""

    weights: str
    labels: Annotated[tuple[str, ...], Field(min_length=1)] = ("Music",)
    threshold: Ratio = 0.5


class LanguageConfig(Strict):
    """A multilingual Whisper by path; at most `windows` of 30 s from the beginning are heard."""

    weights: str
    windows: Positive = 4


class SpeakersConfig(Strict):
    """WavLM x-vectors by path, of windows of `seconds` every `hop` in which `speech` of the time is speech to `vad`.

    Windows are one speaker from a cosine `similarity` on; 0.86 is the threshold that the model card of
    microsoft/wavlm-base-plus-sv gives, with the remark that the best one depends on the data. A speaker with less than
    `least_share` of the windows is not counted.
    """

    weights: str
    seconds: Annotated[float, Field(ge=0.5)] = 1.5
    hop: Annotated[float, Field(gt=0)] = 0.75
    speech: Ratio = 0.8
    similarity: Annotated[float, Field(gt=-1.0, lt=1.0)] = 0.86
    least_share: Ratio = 0.1
    vad: SpeechConfig = SpeechConfig()


class CaptionerConfig(Strict):
    """An image captioner by path, BLIP or GIT: the likeliest of `beams` sentences (BLIP's own protocol has 3, Li et al. 2022,
    section 5.2) of at most `tokens` tokens."""

    weights: str
    beams: Positive = 3
    tokens: Positive = 40


class CaptionConfig(Strict):
    """What a clip is trained with as its text: its sidecar's caption, else the captioner's, else the words of its file name."""

    captioner: CaptionerConfig | None = None


class ScoresConfig(Strict):
    """Every score; null switches one off, but for `caption`, which training reads. `native_frames` pictures at the source's
    size serve the picture scores."""

    native_frames: Positive = 4
    motion: MotionConfig | None = MotionConfig()
    camera: CameraConfig | None = CameraConfig()
    stillness: StillnessConfig | None = StillnessConfig()
    cuts: CutsConfig | None = CutsConfig()
    strokes: StrokesConfig | None = StrokesConfig()
    text_boxes: TextBoxesConfig | None = None
    sharpness: SharpnessConfig | None = SharpnessConfig()
    exposure: ExposureConfig | None = ExposureConfig()
    noise: NoiseConfig | None = NoiseConfig()
    compression: CompressionConfig | None = CompressionConfig()
    letterbox: LetterboxConfig | None = LetterboxConfig()
    resolution: ResolutionConfig | None = ResolutionConfig()
    quality: QualityConfig | None = QualityConfig()
    qalign: QAlignConfig | None = None
    people: PeopleConfig | None = PeopleConfig()
    presence: PresenceConfig | None = PresenceConfig()
    pose: PoseConfig | None = PoseConfig()
    mouth_audio: MouthAudioConfig | None = MouthAudioConfig()
    mouth_speech: MouthSpeechConfig | None = None
    sound: SoundConfig | None = SoundConfig()
    loudness: LoudnessConfig | None = LoudnessConfig()
    speech: SpeechConfig | None = None
    music: MusicConfig | None = None
    language: LanguageConfig | None = None
    speakers: SpeakersConfig | None = None
    lip_sync: LipSyncConfig | None = None
    puppet_sync: PuppetSyncConfig | None = None
    caption: CaptionConfig = CaptionConfig()

    @field_validator("caption", mode="before")
    @classmethod
    def _never_off(cls, given: object) -> object:
        if given is None:
            raise ValueError("captions are what training reads and cannot be switched off; leave the key out")
        return given
