"""The gate: thresholds, the champion's margin, and nothing passes unmeasured."""

import math

import pandas as pd
import pytest

from evaluation.scoring.criteria import GateError, demands, limits
from evaluation.scoring.gate import Check, decide
from profiles import ProfileError, changed_profile, load_profile
from profiles.schema import GateConfig

CRITERIA = {
    "mouth_correlation": {"min": 0.85},
    "missing_joints": {"max": 0.25},
    "missing_hands": {"max": 0.48},
    "colour_error": {"max": 0.03},
    "joint_error_median": {"max": 1.0},
}
GATE = GateConfig(criteria=CRITERIA, champion_margin=0.02)
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
            "benchmark": "puppets",
            "model": "distilled_student",
            "mode": "pose" if metric == "joint_error_median" else "audio",
            "metric": metric,
            "unit": "",
            "value": value,
            "ci_low": value - width,
            "ci_high": value + width,
            "clips": 8,
            "coverage": 1.0,
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
    return pd.concat([table(), bounds.assign(benchmark="puppets", unit="", clips=8, coverage=1.0)])


def test_metrics_with_their_floor_below_their_ceiling_gate_as_before():
    assert decide(with_floors(0.1, 0.2), GATE, None).promote


def test_a_metric_that_cannot_tell_its_floor_from_its_ceiling_cannot_gate():
    refused = decide(with_floors(0.975, 0.2), GATE, None)
    assert (
        len(refused.reasons) == 1
        and "mouth_correlation (puppets, audio) cannot gate on this benchmark" in refused.reasons[0]
    )
    refused = decide(with_floors(0.1, 0.012), GATE, table())
    assert len(refused.reasons) == 1 and "colour_error" in refused.reasons[0] and "0.012" in refused.reasons[0]


def test_an_undefined_floor_is_no_evidence_and_an_undefined_ceiling_is():
    assert decide(with_floors(math.nan, 0.2), GATE, None).promote
    scores = with_floors(0.1, 0.2)
    scores.loc[(scores["model"] == "ground_truth") & (scores["metric"] == "mouth_correlation"), "value"] = math.nan
    assert not decide(scores, GATE, None).promote


HEADLINE = GateConfig(criteria=CRITERIA, headline="missing_joints")


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
    assert (
        not refused.promote
        and len(refused.reasons) == 1
        and f"{metric} (puppets, audio) of skin: dark" in refused.reasons[0]
    )


def test_slack_loosens_a_negative_threshold_too():
    loose = GateConfig(criteria=CRITERIA | {"mouth_correlation": {"min": -0.4}})
    assert decide(table(), loose, None, slices=slice_table(mouth_correlation=-0.49)).promote
    assert not decide(table(), loose, None, slices=slice_table(mouth_correlation=-0.51)).promote


def test_a_slice_that_was_not_measured_refuses():
    slices = slice_table()
    assert not decide(table(), GATE, None, slices=slices[slices["metric"] != "colour_error"]).promote


def test_evidence_counts_like_any_check():
    bad = Check("weights are the scored ones", 0.0, 1.0, False, "other weights")
    assert decide(table(), GATE, None, evidence=[bad]).reasons == ["other weights"]


def test_what_no_gate_can_ask_is_refused_by_name():
    profile = load_profile("laptop", [])
    bounds = {name: next(iter(bound.values())) for name, bound in CRITERIA.items()}
    assert limits(profile.gate, "puppets") == bounds and limits(profile.gate, "packaged") == {}

    def asking(criterion: str) -> GateConfig:
        return changed_profile(profile, [f"gate.criteria.odd={criterion}"]).gate

    with pytest.raises(
        GateError, match=r"gate\.criteria\.odd names no metric that may gate: mouth_corelation.*mouth_correlation"
    ):
        demands(asking("{metric: mouth_corelation, min: 0.5}"))
    with pytest.raises(GateError, match="psnr one of audio, pose"):
        demands(asking("{metric: psnr, min: 30}"))
    with pytest.raises(GateError, match=r"has max, and more of mouth_correlation is better; give min"):
        demands(asking("{metric: mouth_correlation, max: 0.5}"))
    with pytest.raises(GateError, match=r"singing, which no model generates in"):
        demands(asking("{metric: mouth_correlation, min: 0.5, mode: singing}"))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("gate.headline=psnr", "headline is psnr.*joint_error_median"),
        ("gate.mouth_corelation_min=0.5", "gate.mouth_corelation_min"),
        (
            "gate.criteria.odd={metric: fid, max: 3, benchmark: packaged}",
            "evaluation.benchmarks does not list: puppets",
        ),
        ("gate.criteria.odd={metric: fid}", "give min or max"),
        ("evaluation.benchmarks=[puppets, puppets]", "puppets is listed twice"),
        ("evaluation.benchmarks=[../elsewhere]", "evaluation.benchmarks.0"),
    ],
)
def test_a_profile_that_contradicts_itself_does_not_load(setting, said):
    with pytest.raises(ProfileError, match=said):
        load_profile("laptop", [setting])


def test_thresholds_as_they_were_written_before_are_criteria():
    """Restore points and overrides of versions up to 0.2 have them."""
    old = GateConfig.model_validate({"mouth_correlation_min": 0.85, "joint_error_max": 1.0, "missing_joints_max": 0.25})
    assert {d.metric: d.threshold for d in demands(old)} == {
        "mouth_correlation": 0.85,
        "joint_error_median": 1.0,
        "missing_joints": 0.25,
    }
    assert old.headline == "missing_joints"
    loose = load_profile("laptop", ["gate.mouth_correlation_min=-1", "gate.joint_error_max=1000"]).gate
    assert limits(loose, "puppets") == limits(GATE, "puppets") | {
        "mouth_correlation": -1.0,
        "joint_error_median": 1000.0,
    }


def people(value: float, coverage: float = 1.0) -> pd.DataFrame:
    """The puppets' table, and one number of another benchmark."""
    row = {
        "benchmark": "packaged",
        "model": "distilled_student",
        "mode": "audio",
        "metric": "hkc",
        "unit": "",
        "value": value,
    }
    row |= {"ci_low": value, "ci_high": value, "clips": 4, "coverage": coverage}
    return pd.concat([table(), pd.DataFrame([row])], ignore_index=True)


HANDS = GateConfig(
    criteria=CRITERIA
    | {"hands": {"metric": "hkc", "benchmark": "packaged", "mode": "audio", "min": 0.4, "slices": False}}
)


def test_a_criterion_reads_its_own_benchmark_and_no_other():
    assert decide(people(0.5), HANDS, None).promote
    (reason,) = decide(people(0.3), HANDS, None).reasons
    assert reason == "hkc (packaged, audio) is 0.3, needed at least 0.4"
    (reason,) = decide(table(), HANDS, None).reasons
    assert reason.startswith("hkc (packaged, audio) of distilled_student was not measured")


def test_a_metric_that_is_defined_on_few_samples_or_blind_to_damage_cannot_gate():
    (reason,) = decide(people(0.5, coverage=0.25), HANDS, None).reasons
    assert "cannot gate on this benchmark: it is defined on 25% of 4 samples" in reason
    verdict = {
        "benchmark": "packaged",
        "metric": "hkc",
        "usable": False,
        "reason": "more blur reads 0.5, no worse than 0.5 of none",
    }
    (reason,) = decide(people(0.5), HANDS, None, fitness=pd.DataFrame([verdict])).reasons
    assert reason.endswith("more blur reads 0.5, no worse than 0.5 of none")
    elsewhere = pd.DataFrame([verdict | {"benchmark": "held_out"}])
    assert decide(people(0.5), HANDS, None, fitness=elsewhere).promote


def test_a_criterion_need_not_be_relative_to_the_champion_nor_hold_on_slices():
    alone = GateConfig(criteria=CRITERIA | {"mouth_correlation": {"min": 0.85, "relative": False, "slices": False}})
    worse = slice_table(mouth_correlation=0.1)
    assert decide(table(mouth_correlation=0.86), alone, table(mouth_correlation=0.99), slices=worse).promote
    assert len(decide(table(mouth_correlation=0.86), GATE, table(mouth_correlation=0.99), slices=worse).reasons) == 2


def test_a_metric_that_no_criterion_names_does_not_gate():
    gate = GateConfig(criteria={"missing_joints": {"max": 0.25}})
    decision = decide(table(mouth_correlation=0.1), gate, None)
    assert decision.promote and [check.name for check in decision.checks] == ["missing_joints threshold"]
