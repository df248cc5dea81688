"""Neighbours are the nearest; a planted cause is found and proposed; where there is none, nothing is proposed."""

import numpy as np
import pandas as pd
import pytest
from scipy.spatial import KDTree

from evaluation.scoring import error_analysis
from evaluation.scoring.error_analysis import DISTANCE, TrainingClips, analyse_errors, latent_features

SAMPLES, CLIPS = 64, 2000
LIMITS = {"pose_visibility": [("pose", ">=", 0.2)]}


def corpus(rng: np.random.Generator) -> TrainingClips:
    """Clips on a line; `pose_visibility` follows the line, `loudness` is chance."""
    place = np.sort(rng.uniform(0, 1, CLIPS))
    scores = pd.DataFrame({"pose_visibility": place, "loudness": rng.normal(size=CLIPS), "caption": "a person"})
    return TrainingClips([f"c{i:04d}" for i in range(CLIPS)], place[:, None], scores, CLIPS)


def test_neighbours_are_those_of_a_tree_search_in_units_of_spread_whatever_the_chunk(monkeypatch):
    rng = np.random.default_rng(0)
    features, others = rng.normal(size=(9, 4)) * [1, 10, 100, 1], rng.normal(size=(333, 4)) * [1, 10, 100, 1]
    others[:, 3] = 2.0  # a feature that never varies counts in its own unit
    scale = np.where(others.std(axis=0) > 0, others.std(axis=0), 1.0)
    distances, places = KDTree(others / scale).query(features / scale, k=5)
    monkeypatch.setattr(error_analysis, "ROWS_AT_ONCE", 50)
    found, near = error_analysis._nearest(features, others)
    np.testing.assert_array_equal(found, places)
    np.testing.assert_allclose(near, distances)


def test_low_scores_around_the_bad_samples_tighten_the_predicate_that_reads_them():
    rng = np.random.default_rng(1)
    where = rng.uniform(0.05, 0.95, SAMPLES)
    result = analyse_errors(
        -where + rng.normal(0, 0.05, SAMPLES), where[:, None], corpus(rng), {"pose_visibility": [("pose", ">=", 0.01)]}
    )
    (proposal,) = result.proposals
    assert proposal.kind == "predicate"
    assert proposal.change.startswith("curation.pose: pose_visibility >= 0.1") and "instead of 0.01" in proposal.change
    assert "Spearman -0.9" in proposal.evidence


def test_a_predicate_is_never_loosened_and_a_column_without_one_is_weighed():
    rng = np.random.default_rng(2)
    where = rng.uniform(0.05, 0.95, SAMPLES)
    for limits in ({}, {"pose_visibility": [("pose", ">=", 0.9)]}, {"pose_visibility": [("pose", "<", 0.9)]}):
        (proposal,) = analyse_errors(-where, where[:, None], corpus(rng), limits).proposals
        assert (
            proposal.kind == "weight"
            and "pose_visibility <= " in proposal.change
            and "% of the training clips" in proposal.change
        )


def test_samples_far_from_any_training_clip_ask_for_more_like_them():
    rng = np.random.default_rng(3)
    where = rng.uniform(0, 3, SAMPLES)  # the corpus ends at 1
    result = analyse_errors(np.maximum(where - 1, 0) + rng.normal(0, 0.01, SAMPLES), where[:, None], corpus(rng), {})
    assert any(DISTANCE in p.evidence and "thin" in p.change and p.kind == "weight" for p in result.proposals)


def test_chance_proposes_nothing_in_nineteen_of_twenty_corpora():
    made = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        made += bool(
            analyse_errors(rng.normal(size=SAMPLES), rng.uniform(0, 1, (SAMPLES, 1)), corpus(rng), LIMITS).proposals
        )
    assert made <= 5  # 40 times 5 % is 2; P(more than 5) < 2 %


def test_text_columns_and_columns_with_gaps_are_not_looked_at():
    rng = np.random.default_rng(4)
    training = corpus(rng)
    training.scores["gaps"] = np.nan
    found = analyse_errors(rng.normal(size=SAMPLES), rng.uniform(0, 1, (SAMPLES, 1)), training, {})
    assert set(found.looked_at) == {DISTANCE, "pose_visibility", "loudness"}


def test_features_hold_where_and_how_much_it_moves():
    latents = np.zeros((2, 3, 4, 6, 8), np.float32)
    latents[0, 1, :, :3, :4] = 2.0  # still, upper left, channel 1
    latents[1, 2, ::2, 3:, 4:] = 1.0  # blinks, lower right, channel 2
    features = latent_features(latents).reshape(2, 6, 4)
    assert features[0, 1].tolist() == [2, 0, 0, 0] and features[0, 3:].max() == 0
    assert features[1, 2].tolist() == [0, 0, 0, 0.5] and features[1, 5, 3] == pytest.approx(0.5)
