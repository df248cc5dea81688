"""Precision and recall of the subsets on puppets of known kind, and the intervals beside them."""

import pytest

import puppets
from assets.questions.subset_accuracy import STRONGEST, SubsetAccuracy, measure_accuracy
from evaluation.people.shares import wilson
from profiles import load_profile


def test_every_kind_of_puppet_has_a_known_place():
    assert set(STRONGEST) == set(puppets.KINDS)


def test_counts_follow_the_known_places_and_a_looser_predicate_costs_precision():
    strict = measure_accuracy(load_profile("laptop", []), per_kind=3)
    assert [(found.subset, found.clips, found.belong) for found in strict] == [
        ("text", 21, 12),
        ("audio", 21, 6),
        ("pose", 21, 3),
    ]
    assert all(found.precision == 1.0 for found in strict), "no rule-breaker is let in"
    loose = measure_accuracy(load_profile("laptop", ["curation.text=motion >= 0.01"]), per_kind=3)
    assert loose[0].kept > strict[0].kept and loose[0].precision < 1.0


def test_precision_recall_and_wilsons_interval():
    found = SubsetAccuracy("text", clips=20, belong=8, kept=5, right=4)
    assert found.precision == 0.8 and found.recall == 0.5
    low, high = wilson(5, 10)  # Wilson 1927: 0.237 to 0.763
    assert (low, high) == (pytest.approx(0.2366, abs=1e-3), pytest.approx(0.7634, abs=1e-3))
    assert wilson(10, 10)[1] == 1.0 and wilson(10, 10)[0] == pytest.approx(0.7225, abs=1e-3)
