"""Ratios as asked for and as they came out."""

from math import sqrt

import numpy as np
import pytest

from profiles import ProfileError, load_profile
from profiles.schema import CONDITIONS, RATIO_PRESETS, Ratios
from tests.training.synthetic import TINY, Rows, write_snapshot
from training.data.conditions import Conditions, draw_conditions
from training.data.loader import SnapshotData
from training.data.realised_ratios import RealisedRatios

CASES = {name: Ratios(preset=name) for name in RATIO_PRESETS if name != "paper_v3"}  # the same numbers as the default
CASES |= {"independent": Ratios(text=0.2, reference=0.4, audio=0.6, pose=0.8, nested=False)}


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory):
    """1,000 samples: a quarter may not have audio, half may have pose, two thirds have a past."""
    root = tmp_path_factory.mktemp("ratios")
    write_snapshot(root, [Rows(samples=1000)])
    return root


@pytest.mark.parametrize("case", CASES)
def test_realised_ratios_and_joint_rules_over_100000_samples(snapshot, case):
    ratios = CASES[case]
    profile = load_profile("laptop", TINY)
    data = SnapshotData(snapshot / "snapshot", snapshot / "features", profile, "text", 5, 1000, ratios)
    realised, sets = RealisedRatios(), set()
    for number in range(100):
        draws = data.draws(number)
        realised.add(draws)
        sets |= {(d.on.active, d.eligible.active) for d in draws}
    counts, shares = realised.counts, realised.shares()
    assert counts["samples"] == 100_000
    assert [counts[f"eligible/{n}"] for n in (*CONDITIONS, "motion")] == [100_000, 100_000, 75_000, 50_000, 66_600]
    for name in (*CONDITIONS, "motion"):
        p, n = getattr(ratios, name), counts[f"eligible/{name}"]
        independent = 100 if name == "motion" else n  # motion is drawn once a batch
        assert abs(shares[f"ratio_of_eligible/{name}"] - p) <= 3 * sqrt(p * (1 - p) / independent), name
        assert shares[f"ratio/{name}"] == pytest.approx(shares[f"ratio_of_eligible/{name}"] * n / 100_000)
    assert sum(share for name, share in shares.items() if name.startswith("share/")) == pytest.approx(1)
    assert all(set(on) <= set(eligible) for on, eligible in sets)
    prefixes = {CONDITIONS[:length] for length in range(5)}
    if ratios.nested:
        assert {on for on, _ in sets} <= prefixes, "a stronger condition without a weaker one"
    else:
        assert {on for on, _ in sets} >= {("pose",), ("audio",), ("reference", "pose")}, "each by itself"
        p, n = ratios.audio * ratios.pose, counts["eligible/pose"]  # whoever may have pose may have audio
        both = sum(c for name, c in counts.items() if name.startswith("set/") and _has(name, "audio", "pose"))
        assert abs(both / n - p) <= 3 * sqrt(p * (1 - p) / n)
    p, n = 7 / 8, counts["on/reference"]
    assert abs(shares["share_of_references_outside"] - p) <= 3 * sqrt(p * (1 - p) / n)


def _has(label: str, *names: str) -> bool:
    """A label is the strongest condition of a set that has all weaker ones, or lists a set that has not."""
    first, *rest = label.removeprefix("set/").split("-")
    on = rest if first == "only" else [] if first == "none" else CONDITIONS[: CONDITIONS.index(first) + 1]
    return set(names) <= set(on)


def test_a_sample_outside_the_audio_subset_still_trains_the_weaker_conditions():
    rng = np.random.default_rng(0)
    eligible = Conditions(True, True, False, False)
    draws = [draw_conditions(Ratios(preset="default"), eligible, rng) for _ in range(20_000)]
    assert not any(d.audio or d.pose for d in draws)
    assert np.mean([d.reference for d in draws]) == pytest.approx(0.7, abs=0.01)


def test_a_silent_sample_that_may_train_pose_does_so_at_poses_own_ratio():
    """`curation.silent_pose`: its audio is off, and what it may have is drawn as ever."""
    rng, ratios = np.random.default_rng(0), Ratios(preset="default")
    draws = [draw_conditions(ratios, Conditions(True, True, False, True), rng) for _ in range(20_000)]
    assert not any(d.audio for d in draws) and all(d.reference for d in draws if d.pose)
    assert np.mean([d.pose for d in draws]) == pytest.approx(ratios.pose, abs=0.01)


def test_counts_survive_a_checkpoint():
    on = Conditions(True, True, False, False)
    assert (on.label, Conditions(False, False, False, False).label, Conditions(False, True, False, True).label) == (
        "reference",
        "none",
        "only-reference-pose",
    )
    assert RealisedRatios().shares() == {}
    first = RealisedRatios({"samples": 4, "on/text": 3, "eligible/text": 4, "set/text": 3, "set/none": 1})
    again = RealisedRatios(dict(first.counts))
    assert (
        again.shares() == first.shares()
        and first.shares()["ratio/text"] == 0.75
        and first.shares()["share/none"] == 0.25
    )


@pytest.mark.parametrize(("name", "expected"), [("paper_v2", 0.5), ("paper_v3", 0.25), ("default", 0.25)])
def test_each_stage_takes_its_preset_up_to_its_own_condition(name, expected):
    profile = load_profile("laptop", [f"stage_{n}.ratios={{preset: {name}}}" for n in (1, 2, 3)])
    assert RATIO_PRESETS["paper_v3"] == RATIO_PRESETS["default"]
    numbers = [[getattr(getattr(profile, f"stage_{n}").ratios, c) for c in CONDITIONS] for n in (1, 2, 3)]
    assert numbers == [[0.9, 0.7, 0.0, 0.0], [0.9, 0.7, 0.5, 0.0], [0.9, 0.7, 0.5, expected]]


def test_single_numbers_override_a_preset_and_a_profile_survives_its_own_dump():
    profile = load_profile(
        "laptop",
        [
            "stage_3.ratios={preset: paper_v2, reference: 0.9, motion: 0.1}",
            "stage_1.ratios={preset: default, strongest: audio}",
        ],
    )
    ratios = profile.stage_3.ratios
    assert (ratios.text, ratios.reference, ratios.audio, ratios.pose, ratios.motion) == (0.9, 0.9, 0.5, 0.5, 0.1)
    assert profile.stage_1.ratios.audio == 0.5
    assert type(profile).model_validate(profile.model_dump(mode="json")) == profile


def test_ratios_that_grow_with_strength_need_independent_draws():
    with pytest.raises(ProfileError, match="must not grow"):
        load_profile("laptop", ["stage_1.ratios={text: 0.5, reference: 0.7}"])
    assert (
        load_profile("laptop", ["stage_1.ratios={text: 0.5, reference: 0.7, nested: false}"]).stage_1.ratios.reference
        == 0.7
    )
    with pytest.raises(ProfileError, match="paper_v2"):
        load_profile("laptop", ["stage_1.ratios={preset: paper_v9}"])
