"""Scores on golden clips whose answers are known by construction."""

import numpy as np
import pytest

import puppets
from curation.people.keypoints import KeypointDetector, mouth_opening
from curation.scores.person.pose import keypoint_jitter, pose_visibility
from curation.scores.picture.cuts import cut_curve, cut_score
from curation.scores.picture.exposure import brightness, histogram
from curation.scores.picture.luma import luma
from curation.scores.picture.motion import motion
from curation.scores.picture.overlay_text import static_strokes
from curation.scores.picture.sharpness import sharpness
from curation.scores.picture.stillness import still_share
from curation.scores.sound.level import audio_rms_db, sound_share
from curation.scores.sound.mouth_audio import mouth_audio_correlation, mouth_audio_lag_frames, mouth_visibility
from media import decode_clip
from media.speech.mouth_and_sound import envelope
from tests.media.sound_files import sound_file

ARMS = (7, 8, 9, 10)  # elbows and wrists of COCO-WholeBody


def smooth_texture(seed: int, height: int = 64, width: int = 64, frames: int = 9, step: float = 0.0) -> np.ndarray:
    """`(T, H, W)` luma of a sum of waves that travels `step` pixels to the right per frame, exactly."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(float)
    shift = np.arange(frames)[:, None, None] * step
    value = np.zeros((frames, height, width))
    for _ in range(8):
        fx, fy = rng.uniform(0.02, 0.12, 2)
        value += np.sin(2 * np.pi * (fx * (x - shift) + fy * y) + rng.uniform(0, 6.28))
    return (128 + 14 * value).astype(np.float32)


def colour(grey: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def test_luma_of_white_is_255_and_of_green_is_its_weight():
    frames = np.zeros((1, 2, 2, 3), np.uint8)
    frames[..., 1] = 255
    assert luma(frames) == pytest.approx(0.587 * 255)
    assert luma(np.full((1, 2, 2, 3), 255, np.uint8)) == pytest.approx(255.0)


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0])
def test_motion_of_a_pan_is_its_speed(step):
    assert motion(smooth_texture(0, step=step)) == pytest.approx(step, rel=0.15)


def test_motion_of_a_still_is_zero_and_all_its_frames_are_repeats():
    still = smooth_texture(0, step=0.0)
    assert motion(still) < 1e-3
    assert still_share(still) == 1.0
    assert still_share(smooth_texture(0, step=1.0)) == 0.0


def test_still_share_counts_the_frozen_half():
    moving, frozen = smooth_texture(0, frames=5, step=1.0), np.repeat(smooth_texture(0, frames=1), 4, axis=0)
    assert still_share(np.concatenate([moving, frozen])) == pytest.approx(3 / 8)


@pytest.mark.parametrize("cut", [3, 8, 13])
def test_a_hard_cut_is_found_at_its_frame(cut):
    before, after = smooth_texture(0, frames=cut, step=0.5), smooth_texture(9, frames=17 - cut, step=0.5)
    frames = colour(np.concatenate([before, after]))
    assert cut_score(frames) > 0.5
    assert int(cut_curve(frames).argmax()) + 1 == cut


@pytest.mark.parametrize("step", [0.0, 0.5, 3.0, 6.0])
def test_smooth_motion_is_not_a_cut_however_fast(step):
    assert cut_score(colour(smooth_texture(0, frames=17, step=step))) < 0.3


def test_static_text_scores_and_the_same_text_in_motion_does_not():
    text = puppets.render(3, "overlay_text", 25)
    grey = luma(text.frames)
    assert static_strokes(grey) > 0.5
    scrolling = np.stack([np.roll(image, 3 * t, axis=1) for t, image in enumerate(grey)])
    assert static_strokes(scrolling) < 0.1


def test_sharpness_falls_with_blur_and_brightness_is_the_mean():
    import cv2

    grey = luma(puppets.render(1).frames)
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 2.0) for image in grey])
    assert sharpness(blurred) < 0.1 * sharpness(grey)
    assert brightness(histogram(np.full((2, 4, 4), 51, np.uint8))) == pytest.approx(0.2)


def test_loudness_of_a_full_scale_sine_is_minus_3_db():
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000).astype(np.float32)
    assert audio_rms_db(tone) == pytest.approx(-3.01, abs=0.01)
    assert audio_rms_db(np.zeros(100, np.float32)) == -100.0


def test_sound_share_is_the_part_that_sounds():
    tone = 0.1 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    assert sound_share(np.concatenate([tone[:3200], np.zeros(12_800)]), 16_000) == pytest.approx(0.2)


def test_envelope_follows_a_step_at_its_frame():
    audio = np.concatenate([np.zeros(8000), 0.5 * np.ones(8000)])
    loud = envelope(audio, 16, 16.0, 16_000)
    assert loud[:8] == pytest.approx(0.0)
    assert loud[8:] == pytest.approx(0.5)


@pytest.mark.parametrize("lag", [-4, -1, 0, 2, 5])
def test_audio_shifted_by_n_frames_is_found_at_n(lag):
    rng = np.random.default_rng(0)
    signal = np.convolve(rng.random(60), np.ones(3) / 3, mode="same")
    sound, mouth = signal[5:55], signal[5 - lag : 55 - lag]
    assert mouth_audio_lag_frames(mouth, sound) == lag
    assert (mouth_audio_correlation(mouth, sound) > 0.99) == (lag == 0)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("matroska", "libopus"), ("mpegts", "aac")])
def test_a_mouth_is_still_in_step_with_its_sound_after_half_a_second_without_packets(container, codec):
    person = puppets.render(9_600_003, frames=57)
    film = sound_file(container, codec, 16_000, gap=(1.0, 1.5), sound=person.audio, frames=person.frames)
    clip = decode_clip(film.data, 16.0)
    after = slice(round(1.6 * 16), len(clip.frames))
    mouth = mouth_opening(puppets.PuppetKeypoints()(clip.frames))
    loud = envelope(clip.audio, len(clip.frames), 16.0, 16_000)
    assert mouth_audio_correlation(mouth[after], loud[after]) > 0.9
    assert abs(mouth_audio_lag_frames(mouth[after], loud[after])) <= 1
    counted = np.roll(loud, -8)  # where counting samples would put it
    assert mouth_audio_correlation(mouth[after], counted[after]) < 0.5


def test_correlation_is_undefined_for_an_unseen_or_unmoving_mouth():
    sound = np.random.default_rng(0).random(25)
    assert np.isnan(mouth_audio_correlation(np.full(25, np.nan), sound))
    assert np.isnan(mouth_audio_correlation(np.full(25, 3.0), sound))
    assert mouth_visibility(np.array([1.0, np.nan, 2.0, np.nan])) == 0.5


def test_keypoint_scores_on_points_that_move_evenly_and_that_shake():
    keypoints = np.zeros((5, 133, 3), np.float32)
    keypoints[:, ARMS, 2] = 1.0
    keypoints[:, ARMS, 0] = np.arange(5)[:, None] * 2.0
    assert keypoint_jitter(keypoints, ARMS) == pytest.approx(0.0)
    assert pose_visibility(keypoints, ARMS) == 1.0
    keypoints[2, ARMS, 1] = 1.0  # second difference 1, -2, 1 in y
    assert keypoint_jitter(keypoints, ARMS) == pytest.approx(4 / 3)
    keypoints[0, 9, 2] = 0.4
    assert pose_visibility(keypoints, ARMS) == pytest.approx(0.8)
    assert np.isnan(keypoint_jitter(np.zeros((5, 133, 3), np.float32), ARMS))


def test_the_puppets_detector_is_one_and_reads_the_mouth():
    detector, puppet = puppets.PuppetKeypoints(), puppets.render(5)
    assert isinstance(detector, KeypointDetector)
    opening = mouth_opening(detector(puppet.frames))
    assert np.corrcoef(opening, puppet.opening)[0, 1] > 0.99
