"""The study's variants fit the profile, and its table says what was run, by seed, beside the full recipe."""

import pandas as pd
import pytest

from evaluation.ablation import FULL, VARIANTS, ablation_markdown, ablation_row
from profiles import load_profile


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_every_variant_is_a_valid_profile_and_changes_something(variant):
    plain, changed = load_profile("laptop", []), load_profile("laptop", list(variant.overrides))
    assert (plain == changed) == (variant.name == FULL)


def test_the_issues_five_ablations_are_there():
    assert {"no_consistency", "no_r1", "last_head", "shift_1", "distilled_critic"} < {v.name for v in VARIANTS}


def scores(missing: float) -> pd.DataFrame:
    rows = [("m", "audio", "missing_joints", missing), ("m", "audio", "mouth_correlation", 0.9)]
    return pd.DataFrame(rows, columns=["model", "mode", "metric", "value"])


def test_a_row_holds_scores_and_the_last_quarter_of_the_discriminators_curve():
    curve = pd.DataFrame({"step": range(8), "discriminator_loss": [9.0] * 6 + [1.0, 2.0], "logit_gap": 0.5, "r1": 0.1})
    row = ablation_row("no_r1", 1, "m", scores(0.3), curve)
    assert row["missing_joints_audio"] == 0.3 and row["last_discriminator_loss"] == pytest.approx(1.5)
    assert pd.isna(row["joint_diversity_px"])


def test_the_table_shows_mean_range_difference_command_and_what_failed():
    rows = [ablation_row(FULL, seed, "m", scores(value), None) for seed, value in ((0, 0.2), (1, 0.3))]
    rows += [ablation_row("no_r1", 0, "m", scores(0.4), None), {"variant": "no_r1", "seed": 1, "status": "failed: not finite"}]
    text = ablation_markdown(pd.DataFrame(rows), VARIANTS, "omnihuman ablate --seeds 2", "abc")
    assert "omnihuman ablate --seeds 2" in text and "abc" in text
    assert "0.250 (0.200 to 0.300)" in text
    assert "0.400; +0.150" in text and "seed 1: failed: not finite" in text
