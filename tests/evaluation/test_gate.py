"""The gate: thresholds, the champion's margin, and nothing passes unmeasured."""

import math

import pandas as pd
import pytest

from evaluation.scoring.gate import Check, GateError, decide, limits
from profiles import changed_profile, load_profile
from profiles.schema import GateConfig

GATE = GateConfig(
    thresholds={
        "mouth_correlation_min": 0.85,
        "missing_joints_max": 0.25,
        "missing_hands_max": 0.48,
        "colour_error_max": 0.03,
        "joint_error_max": 1.0,
    },
    champion_margin=0.02,
    headline=None,
)
GOOD = {
    "mouth_correlation": 0.9,
    "missing_joints": 0.13,
    "missing_hands": 0.25,
    "colour_error": 0.012,
    "joint_error_median": 0.8,
}


def table(width: float = 0.0, **changes: float) -> pd.DataFrame:
    """Scores of a student; `width` is the half width of every interval."""
    rows = [
        {
            "model": "distilled_student",
            "mode": "pose" if metric == "joint_error_median" else "audio",
            "metric": metric,
            "unit": "",
            "value": value,
            "ci_low": value - width,
            "ci_high": value + width,
            "clips": 8,
        }
        for metric, value in (GOOD | changes).items()
    ]
    return pd.DataFrame(rows)


def test_a_good_first_model_is_promoted():
    decision = decide(table(), GATE, None)
    assert decision.promote and decision.reasons == [] and len(decision.checks) == 5
    assert all(check.passed for check in decision.checks)


@pytest.mark.parametrize(
    ("metric", "bad"),
    [
        ("mouth_correlation", 0.849),
        ("missing_joints", 0.251),
        ("missing_hands", 0.481),
        ("colour_error", 0.0301),
        ("joint_error_median", 1.01),
    ],
)
def test_each_threshold_alone_refuses(metric, bad):
    decision = decide(table(**{metric: bad}), GATE, None)
    assert not decision.promote and len(decision.reasons) == 1 and metric in decision.reasons[0]


def test_exactly_the_threshold_passes():
    values = {"mouth_correlation": 0.85, "missing_joints": 0.25, "colour_error": 0.03, "joint_error_median": 1.0}
    assert decide(table(**values), GATE, None).promote


@pytest.mark.parametrize("metric", GOOD)
def test_an_absent_metric_refuses(metric):
    scores = table()
    decision = decide(scores[scores["metric"] != metric], GATE, None)
    assert not decision.promote and "was not measured" in decision.reasons[0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_refuses(value):
    assert not decide(table(joint_error_median=value), GATE, None).promote


def test_another_model_or_mode_does_not_count():
    scores = table()
    assert not decide(scores.assign(model="teacher"), GATE, None).promote
    assert not decide(scores.assign(mode="shuffled_audio"), GATE, None).promote


def test_the_same_model_again_is_no_worse_than_itself():
    assert decide(table(), GATE, table()).promote


def test_worse_than_the_champion_by_less_than_the_margin_passes_and_by_more_does_not():
    # The margin is 0.02 of the threshold 0.85: 0.017.
    assert decide(table(mouth_correlation=0.884), GATE, table()).promote
    refused = decide(table(mouth_correlation=0.882), GATE, table())
    assert not refused.promote and "the champion has 0.9" in refused.reasons[0]
    assert not decide(table(missing_joints=0.136), GATE, table()).promote
    assert decide(table(missing_joints=0.134), GATE, table()).promote


def test_within_the_champions_own_interval_is_not_worse():
    assert decide(table(mouth_correlation=0.87), GATE, table(width=0.04)).promote
    assert not decide(table(mouth_correlation=0.855), GATE, table(width=0.04)).promote


def test_better_in_one_metric_does_not_pay_for_another():
    assert not decide(table(mouth_correlation=0.99, missing_joints=0.2), GATE, table()).promote


def test_a_champion_without_the_metric_must_be_scored_first():
    champion = table()
    decision = decide(table(), GATE, champion[champion["metric"] != "colour_error"])
    assert not decision.promote and "score it again" in decision.reasons[0]


def test_it_is_pure():
    scores, champion = table(), table()
    before = scores.copy(), champion.copy()
    assert decide(scores, GATE, champion) == decide(scores, GATE, champion)
    pd.testing.assert_frame_equal(scores, before[0])
    pd.testing.assert_frame_equal(champion, before[1])


def with_floors(mouth_floor: float, colour_floor: float) -> pd.DataFrame:
    """The table, with the rows that hold ceilings and floors of two metrics."""
    rows = [
        ("ground_truth", "pixels", "mouth_correlation", 0.98),
        ("teacher", "shuffled_audio", "mouth_correlation", mouth_floor),
        ("ground_truth", "pixels", "colour_error", 0.004),
        ("ground_truth", "other_identity", "colour_error", colour_floor),
    ]
    columns = ["model", "mode", "metric", "value", "ci_low", "ci_high"]
    bounds = pd.DataFrame([(*row, row[3] - 0.01, row[3] + 0.01) for row in rows], columns=columns)
    return pd.concat([table(), bounds.assign(unit="", clips=8)])


def test_metrics_with_their_floor_below_their_ceiling_gate_as_before():
    assert decide(with_floors(0.1, 0.2), GATE, None).promote


def test_a_metric_that_cannot_tell_its_floor_from_its_ceiling_cannot_gate():
    refused = decide(with_floors(0.975, 0.2), GATE, None)
    assert len(refused.reasons) == 1 and "mouth_correlation (audio) cannot gate on this benchmark" in refused.reasons[0]
    refused = decide(with_floors(0.1, 0.012), GATE, table())
    assert len(refused.reasons) == 1 and "colour_error" in refused.reasons[0] and "0.012" in refused.reasons[0]


def test_an_undefined_floor_is_no_evidence_and_an_undefined_ceiling_is():
    assert decide(with_floors(math.nan, 0.2), GATE, None).promote
    scores = with_floors(0.1, 0.2)
    scores.loc[(scores["model"] == "ground_truth") & (scores["metric"] == "mouth_correlation"), "value"] = math.nan
    assert not decide(scores, GATE, None).promote


HEADLINE = GATE.model_copy(update={"headline": "missing_joints"})


@pytest.mark.parametrize(("missing", "promoted"), [(0.13, False), (0.121, False), (0.119, True)])
def test_a_draw_keeps_the_champion(missing, promoted):
    decision = decide(table(missing_joints=missing), HEADLINE, table(width=0.01))
    assert decision.promote is promoted
    assert promoted or "must be below 0.12" in decision.reasons[0]


def test_the_first_model_need_not_beat_anybody():
    assert decide(table(), HEADLINE, None).promote


def slice_table(**changes: float) -> pd.DataFrame:
    parts = [table().assign(slice="skin: light"), table(**changes).assign(slice="skin: dark")]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("metric", "just_good", "just_bad"), [("mouth_correlation", 0.638, 0.637), ("missing_joints", 0.3125, 0.3126)]
)
def test_a_slice_may_miss_a_threshold_by_its_slack(metric, just_good, just_bad):
    assert decide(table(), GATE, None, slices=slice_table(**{metric: just_good})).promote
    refused = decide(table(), GATE, None, slices=slice_table(**{metric: just_bad}))
    assert not refused.promote and len(refused.reasons) == 1 and f"{metric} (audio) of skin: dark" in refused.reasons[0]


def test_slack_loosens_a_negative_threshold_too():
    loose = GATE.model_copy(update={"thresholds": GATE.thresholds | {"mouth_correlation_min": -0.4}})
    assert decide(table(), loose, None, slices=slice_table(mouth_correlation=-0.49)).promote
    assert not decide(table(), loose, None, slices=slice_table(mouth_correlation=-0.51)).promote


def test_a_slice_that_was_not_measured_refuses():
    slices = slice_table()
    assert not decide(table(), GATE, None, slices=slices[slices["metric"] != "colour_error"]).promote


def test_evidence_counts_like_any_check():
    bad = Check("weights are the scored ones", 0.0, 1.0, False, "other weights")
    assert decide(table(), GATE, None, evidence=[bad]).reasons == ["other weights"]


def test_a_threshold_or_a_headline_of_no_metric_is_refused_by_name():
    profile = load_profile("laptop", [])
    assert limits(profile.gate) == {
        "mouth_correlation": 0.85,
        "missing_joints": 0.25,
        "missing_hands": 0.48,
        "colour_error": 0.03,
        "joint_error_median": 1.0,
    }
    with pytest.raises(GateError, match=r"gate\.mouth_corelation_min.*mouth_correlation_min"):
        limits(changed_profile(profile, ["gate.mouth_corelation_min=0.5"]).gate)
    with pytest.raises(GateError, match="gate.headline is psnr.*joint_error_median"):
        limits(changed_profile(profile, ["gate.headline=psnr"]).gate)


def test_a_metric_without_a_threshold_in_the_profile_does_not_gate():
    gate = GateConfig(thresholds={"missing_joints_max": 0.25}, headline=None)
    decision = decide(table(mouth_correlation=0.1), gate, None)
    assert decision.promote and [check.name for check in decision.checks] == ["missing_joints threshold"]
