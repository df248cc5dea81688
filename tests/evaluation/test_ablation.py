"""Every study's variants fit the profile, and its table says what was run, by seed, beside the full recipe."""

import numpy as np
import pandas as pd
import pytest

from assets.core.training_recipes import RECIPES
from evaluation.benchmark.benchmark_plan import AUDIO
from evaluation.pages.pictures import models_sheet
from evaluation.questions.ablation import ablation_markdown, ablation_row, in_order, spread
from evaluation.questions.ablation_pictures import study_plot
from evaluation.questions.studies import ADVERSARIAL, AUDIO_RATIO, STAGE_ORDER, STUDIES
from profiles import available_profiles, changed_profile, load_profile

VARIANTS = [(study, variant) for study in STUDIES.values() for variant in study.variants]


@pytest.mark.parametrize("name", available_profiles())
@pytest.mark.parametrize(("study", "variant"), VARIANTS, ids=lambda v: v.name)
def test_a_variant_is_a_valid_profile_and_changes_only_what_its_study_trains(study, variant, name):
    plain = load_profile(name, [])
    before = changed_profile(plain, study.always).model_dump()
    after = changed_profile(plain, [*study.always, *variant.overrides]).model_dump()
    changed = {key for key in before if before[key] != after[key]}
    assert changed <= {RECIPES[asset].section for asset in study.trains}
    assert bool(changed) == (variant is not study.variants[0]) or (name, variant.name) in UNCHANGED


# What a shipped profile already is.
UNCHANGED = {(name, "guided") for name in ("seaweed-8b", "wan2.1-1.3b", "wan2.1-14b")}


def test_each_study_trains_a_chain_of_parents_and_its_names_are_its_own():
    for name, study in STUDIES.items():
        assert name == study.name
        assert len({variant.name for variant in study.variants}) == len(study.variants)
        for above, below in zip(study.trains, study.trains[1:], strict=False):
            assert RECIPES[below].parent == above


def test_the_issues_grids_are_there():
    assert {"no_consistency", "no_r1", "last_head", "shift_1", "distilled_critic"} < {
        v.name for v in ADVERSARIAL.variants
    }
    shares = [
        changed_profile(load_profile("laptop", []), v.overrides).stage_3.ratios.audio for v in AUDIO_RATIO.variants
    ]
    assert shares == [0.5, 0.1, 0.5, 1.0]


def test_pose_first_changes_the_order_and_nothing_of_the_last_stage():
    plain = load_profile("laptop", [])
    first = changed_profile(plain, next(v for v in STAGE_ORDER.variants if v.name == "pose_first").overrides)
    assert first.stage_3 == plain.stage_3 and (first.stage_2.ratios.audio, first.stage_2.ratios.pose) == (0.0, 0.5)


def scores(missing: float, half: float = 0.01) -> pd.DataFrame:
    rows = [
        ("m", "audio", "missing_joints", "share", missing, missing - half, missing + half, 8),
        ("m", "audio", "latent_frechet", "d^2", 0.9, np.nan, np.nan, 8),
    ]
    return pd.DataFrame(rows, columns=["model", "mode", "metric", "unit", "value", "ci_low", "ci_high", "clips"])


def test_a_row_holds_scores_with_intervals_and_the_last_quarter_of_the_curve():
    curve = pd.DataFrame({"step": range(8), "discriminator_loss": [9.0] * 6 + [1.0, 2.0], "logit_gap": 0.5, "r1": 0.1})
    row = ablation_row("no_r1", 1, "m", scores(0.3), curve)
    assert (row["missing_joints_audio"], row["missing_joints_audio_low"], row["missing_joints_audio_high"]) == (
        0.3,
        0.29,
        0.31,
    )
    assert row["last_discriminator_loss"] == pytest.approx(1.5)
    assert pd.isna(row["joint_diversity_px"]) and "last_loss" not in row


def table() -> pd.DataFrame:
    rows = [ablation_row("full", seed, "m", scores(value), None) for seed, value in ((0, 0.2), (1, 0.3))]
    rows += [
        ablation_row("no_r1", 0, "m", scores(0.4), None),
        {"variant": "no_r1", "seed": 1, "status": "failed: not finite"},
    ]
    rows += [
        ablation_row("shift_1", 0, "m", scores(0.32), None),
        ablation_row("consistency_student", None, "m", scores(0.5), None),
    ]
    return in_order(rows, ADVERSARIAL)


def test_an_interval_over_seeds_spans_the_seeds_own_and_without_them_the_seeds():
    full = table()[lambda t: t["variant"] == "full"]
    assert spread(full, "missing_joints_audio") == pytest.approx((0.25, 0.19, 0.31))
    assert spread(full, "latent_frechet") == (0.9, 0.9, 0.9)


def test_the_table_shows_mean_interval_difference_command_and_what_failed():
    text = ablation_markdown(table(), ADVERSARIAL, "omnihuman ablate --seeds 2", "abc")
    assert "omnihuman ablate --seeds 2" in text and "abc" in text
    assert "0.250 (0.190 to 0.310)" in text
    assert "0.400 (0.390 to 0.410); +0.150*" in text and "seed 1: failed: not finite" in text
    # Its interval, 0.310 to 0.330, touches the full recipe's: no star.
    assert "0.320 (0.310 to 0.330); +0.070 |" in text
    assert text.index("consistency student") < text.index("full recipe")


def test_a_study_of_failures_alone_is_still_a_table_and_a_plot():
    failed = in_order(
        [{"variant": v.name, "seed": 0, "status": "failed: no"} for v in ADVERSARIAL.variants], ADVERSARIAL
    )
    assert "seed 0: failed: no" in ablation_markdown(failed, ADVERSARIAL, "c", "d")
    assert study_plot(failed, ADVERSARIAL).startswith(b"\x89PNG")


def test_plot_and_sheet_are_drawn_of_what_is_there(benchmark, generated_root):
    assert len(study_plot(table(), ADVERSARIAL)) > 5_000
    one = models_sheet(benchmark, {"full recipe": generated_root / "teacher" / AUDIO})
    two = models_sheet(
        benchmark,
        {"full recipe": generated_root / "teacher" / AUDIO, "no R1": generated_root / "distilled_student" / AUDIO},
    )
    assert one.startswith(b"\x89PNG") and len(two) > len(one)
