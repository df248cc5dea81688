"""Mouth and speech: sound moved by n frames is found at n, another's speech does not fit, and what cannot be judged is NaN."""

import numpy as np
import pytest

from benchmarks.people.lip_sync import read_badly
from curation.errors import CurationError
from curation.people.keypoints import INNER_LIP_BOTTOM, INNER_LIP_TOP, Detected
from curation.scores.clip_media import Bench, Material
from curation.scores.registry import columns_of
from curation.scores.sound.mouth_speech import COLUMNS, MOUTH_SPEECH, mouth_speech
from media.speech.mouth_and_sound import lag_correlations
from people.speech.dubbing import dub
from people.speech.pack import utterance
from people.speech.recordings import RATE
from people.speech.visemes import face_units, opening
from profiles import load_profile
from profiles.scores import MouthSpeechConfig, ScoresConfig

FPS, FRAMES = 16.0, 81


class GivenKeypoints:
    """Keypoints are given, and no detector runs."""

    name, version = "given", "1"

    def __call__(self, frames):
        raise AssertionError("keypoints are given")


def scored(mouth, audio, fps=FPS, rate=RATE, unseen=0, **config) -> dict:
    """The columns of a clip whose mouth `read_badly` saw; the first `unseen` frames show none."""
    frames = round(mouth.seconds * fps)
    seen = read_badly(opening(face_units(mouth, fps, frames)), fps, np.random.default_rng(0))
    keypoints = np.zeros((frames, 133, 3), np.float32)
    keypoints[:, [INNER_LIP_TOP, INNER_LIP_BOTTOM], :] = 50.0, 50.0, 1.0
    # Lips that are read the wrong way round would be as far apart: the shut mouth has its noise above zero.
    keypoints[:, INNER_LIP_BOTTOM, 1] += seen - seen.min()
    keypoints[:unseen, INNER_LIP_TOP, 2] = 0.0
    video = load_profile("wan2.1-1.3b").video.model_copy(update={"fps": fps, "sample_rate": rate})
    record = {"width": 832, "height": 480, "fps": fps, "frames": frames, "caption": ""}
    material = Material(Bench(video, GivenKeypoints(), (), 1), record, bytes, Detected(keypoints, None))
    Clip = type("Clip", (), {"audio": audio, "frames": np.zeros((frames, 1, 1, 3), np.uint8)})
    material.__dict__["_decoded"] = (Clip(), None)
    return MOUTH_SPEECH.compute(material, MouthSpeechConfig(**config))


@pytest.mark.parametrize("fps", [16.0, 25.0])
@pytest.mark.parametrize("frames", [-4, -1, 0, 2, 5])
def test_sound_late_by_n_frames_has_the_mouth_n_frames_before_it(frames, fps):
    """The sign is that of mouth_audio_lag_frames."""
    for seed in range(3):
        made = dub("late", 9_000 + seed, 5.0, split="held_out", late_by=frames / fps)
        assert scored(made.mouth, made.audio, fps)["mouth_speech_lag_frames"] == -frames


def test_speech_of_another_fits_less_than_the_own_in_correlation_and_in_confidence():
    own, other = [], []
    for seed in range(8):
        made = dub("other_words", 9_100 + seed, 5.0625, split="held_out")
        own.append(scored(made.mouth, made.mouth.audio))
        other.append(scored(made.mouth, made.audio))
    for column in ("mouth_speech_correlation", "mouth_speech_confidence"):
        assert min(values[column] for values in own) > max(values[column] for values in other)
    assert min(values["mouth_speech_correlation"] for values in own) > 0.55


def test_sound_at_another_rate_is_heard_as_well():
    from scipy.signal import resample_poly

    said = utterance(9_200, 5.0625, split="held_out")
    plain = scored(said, said.audio)
    dear = scored(said, resample_poly(said.audio, 3, 1).astype(np.float32), rate=3 * RATE)
    assert dear["mouth_speech_correlation"] == pytest.approx(plain["mouth_speech_correlation"], abs=0.03)


def test_what_cannot_be_judged_is_nan_in_all_columns():
    said = utterance(9_300, 5.0625, split="held_out")
    nothing = dict.fromkeys(COLUMNS, float("nan"))
    assert scored(said, None) == pytest.approx(nothing, nan_ok=True)
    assert scored(said, np.zeros_like(said.audio)) == pytest.approx(nothing, nan_ok=True)
    assert scored(said, said.audio, unseen=81) == pytest.approx(nothing, nan_ok=True)
    # 81 frames less 5 of the lag less 61 are 15.
    assert scored(said, said.audio, unseen=61) == pytest.approx(nothing, nan_ok=True)
    assert not np.isnan(scored(said, said.audio, unseen=60)["mouth_speech_correlation"])


def test_the_columns_of_given_correlations():
    #                        -5   -4   -3   -2   -1   0    1    2    3    4    5
    correlations = np.array([0.1, 0.2, 0.0, 0.1, 0.5, 0.8, 0.6, 0.4, 0.3, 0.0, 0.1])
    assert mouth_speech(correlations) == pytest.approx(dict(zip(COLUMNS, (0.8, 0, 0.5), strict=True)))
    moved = np.roll(correlations, 3)
    assert mouth_speech(moved) == pytest.approx(dict(zip(COLUMNS, (0.1, 3, 0.6), strict=True)), abs=0.11)
    assert mouth_speech(np.where(correlations == 0.8, np.nan, correlations)) == pytest.approx(
        dict.fromkeys(COLUMNS, float("nan")), nan_ok=True
    )


def test_an_unmoving_mouth_correlates_with_nothing():
    assert np.isnan(lag_correlations(np.full(40, 3.0), np.random.default_rng(0).random(40), 5, 16)).all()


def test_it_is_off_until_a_profile_asks_for_it_and_both_wan_profiles_do():
    assert not set(COLUMNS) & columns_of(ScoresConfig()).keys()
    for name in ("wan2.1-1.3b", "wan2.1-14b"):
        curation = load_profile(name).curation
        assert set(COLUMNS) <= columns_of(curation.scores).keys()
        assert "mouth_speech_correlation >= 0.4" in curation.audio and "mouth_speech_lag_frames <= 1" in curation.audio


def test_weights_that_are_not_there_are_one_error_that_names_the_key():
    said = utterance(0, 1.0)
    with pytest.raises(
        CurationError, match=r"curation.scores.mouth_speech.weights.*none.safetensors.*mouth_from_sound.py"
    ):
        scored(said, said.audio, weights="none.safetensors")
