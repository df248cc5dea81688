"""A training's curves for its page, and their end as numbers."""

import pandas as pd
import pytest

from training.run.curves import curve_columns, last_losses


def test_each_loss_is_averaged_over_the_last_tenth_and_one_that_is_logged_rarely_is_its_last(tmp_path):
    steps = range(20)
    rows = {"step": steps, "loss": [float(step) for step in steps], "loss/text": 1.0, "gradient_norm": 2.0}
    rows |= {"held_out/loss": [0.5 if step == 4 else None for step in steps], "generator_loss": [None] * 20}
    pd.DataFrame(rows).to_parquet(tmp_path / "losses.parquet")
    assert last_losses(tmp_path / "losses.parquet") == {"last_loss": pytest.approx(18.5), "last_held_out/loss": 0.5}


def test_a_constant_has_no_curve_unless_all_are_constant():
    table = pd.DataFrame(
        {"step": [0, 1], "loss": [2.0, 1.0], "tokens": 512, "held_out/loss": [None, 0.5], "empty": None}
    )
    assert curve_columns(table) == ["loss"]
    assert curve_columns(table[:1]) == ["loss", "tokens"]
