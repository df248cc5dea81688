"""The benchmarks of people's lip-sync measure what was put in."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.people.lip_sync import CORRELATIONS, PIXELS, RULES, SLOPES, precision_and_recall, read_badly
from benchmarks.people.sync import Clips, fit_ridge, make_clips, sharpness


def test_a_mouth_is_read_as_badly_as_stated():
    rng = np.random.default_rng(0)
    for _ in range(20):
        mouth = np.abs(np.cumsum(rng.standard_normal(4000))) % 1.0
        seen = read_badly(mouth, 16.0, rng)
        assert CORRELATIONS[0] - 0.02 < np.corrcoef(mouth, seen)[0, 1] < CORRELATIONS[1] + 0.02
        slope = np.polyfit(mouth, seen, 1)[0] / PIXELS
        assert SLOPES[0] - 0.05 < slope < SLOPES[1] + 0.05


def test_sharpness_finds_the_lag_and_its_side():
    rng = np.random.default_rng(1)
    sounds = rng.standard_normal((30, 60))
    after = sharpness(np.roll(sounds, 1, axis=1), sounds)
    assert after.late > 0.95 and abs(after.in_time) < 0.1 and abs(after.early) < 0.1 and after.best_at_0 == 0
    together = sharpness(sounds, sounds)
    assert together.in_time == pytest.approx(1.0) and together.best_at_0 == 1


def test_the_ridge_finds_weights_that_were_put_in():
    rng = np.random.default_rng(2)
    features, weights = rng.standard_normal((200, 30, 5)), np.array([1.0, -2.0, 0.0, 0.5, 3.0])
    mouths = features @ weights
    found, _, deviation = fit_ridge(Clips(mouths, mouths, features))
    assert found / deviation == pytest.approx(weights, abs=0.15)


def test_clips_of_a_benchmark_have_mouths_sounds_and_features_of_every_frame():
    clips = make_clips("held_out", 0, 2, 16.0, 25)
    assert clips.mouths.shape == clips.loudness.shape == (2, 25) and clips.features.shape[:2] == (2, 25)


def test_precision_and_recall_of_known_shares():
    index = ["in sync"] * 4 + ["late by 6"] * 2 + ["late by -6"] * 2 + ["other_words"] * 2
    kept = pd.Series([True, True, True, False, True, False, False, False, False, False], index)
    precision, recall = precision_and_recall(kept)
    assert recall == 0.75 and precision == pytest.approx(0.75 / (0.75 + 0.5 / 3))


def test_the_last_rule_is_the_wan_profiles():
    from profiles import load_profile

    clauses = {clause.strip() for clause in load_profile("wan2.1-1.3b").curation.audio.split(" and ")}
    own = RULES["loudness, speech and its lag"].replace(
        "-1 <= mouth_speech_lag_frames <= 1", "mouth_speech_lag_frames >= -1 and mouth_speech_lag_frames <= 1"
    )
    assert clauses == {"has_audio", *own.split(" and ")}
    assert load_profile("wan2.1-14b").curation.audio == load_profile("wan2.1-1.3b").curation.audio
