"""The page says what the tables say, shows the right samples, and loads nothing from elsewhere."""

import re

import numpy as np
import pandas as pd
import pytest

from evaluation.benchmark.benchmark_plan import STUDENT, generation_plan
from evaluation.pages.report_page import Evaluated, cost_rows, score_rows, write_evaluation_page
from evaluation.scoring.error_analysis import TrainingClips, analyse_errors
from evaluation.scoring.per_clip import BADNESS, ranked_samples
from evaluation.scoring.score import score_benchmark
from evaluation.scoring.score_table import load_scores


@pytest.fixture(scope="module")
def scored(tmp_path_factory, generated_root, benchmark, config):
    folder = tmp_path_factory.mktemp("scored") / "benchmark_scores"
    score_benchmark(generated_root, benchmark, folder, config)
    return folder


def evaluated(scored, benchmark, generated_root, config, **more) -> Evaluated:
    tables = (
        load_scores(scored),
        pd.read_parquet(scored / "slices.parquet"),
        pd.read_parquet(scored / "samples.parquet"),
    )
    return Evaluated(
        *tables,
        benchmark,
        generated_root,
        generation_plan(config),
        STUDENT,
        "abcdef0123456789",
        {"missing_joints": 0.25},
        **more,
    )


def test_samples_agree_with_the_whole(scored, benchmark):
    """Joints that are missing, averaged over clips that each draw as many, are those of the whole benchmark."""
    samples, scores = pd.read_parquet(scored / "samples.parquet"), load_scores(scored)
    own = samples[(samples["model"] == STUDENT) & (samples["metric"] == "colour_error")]
    whole = scores[(scores["model"] == STUDENT) & (scores["mode"] == "audio") & (scores["metric"] == "colour_error")][
        "value"
    ].iloc[0]
    assert list(own["clip"]) == list(benchmark.names) and own["value"].mean() == pytest.approx(whole, rel=1e-6)


def test_the_worst_sample_is_worst_in_every_metric_whichever_way_it_reads():
    rows = [("m", "audio", c, "mouth_correlation", v) for c, v in zip("abc", (0.9, 0.1, np.nan), strict=True)]
    rows += [("m", "audio", c, "missing_joints", v) for c, v in zip("abc", (0.0, 0.9, 0.3), strict=True)]
    ranked = ranked_samples(pd.DataFrame(rows, columns=["model", "mode", "clip", "metric", "value"]), "m")
    assert list(ranked.index) == ["b", "c", "a"] and ranked.loc["b", BADNESS] == 1.0


def test_rows_hold_ceiling_floor_and_cost(scored, benchmark, generated_root, config):
    scores = load_scores(scored)
    (row,) = [
        r
        for r in score_rows(scores, generation_plan(config))
        if r["metric"] == "colour_error" and r["mode"] == "audio" and "distilled student" in r["model"]
    ]
    assert row["ceiling"] < row["floor"] and row["told from its floor"] == "yes"
    costs = cost_rows(scores, generation_plan(config))
    assert {row["mode"] for row in costs} == {"audio", "pose", "shuffled_audio", "second_seed"}
    assert [r["transformer_passes [1]"] for r in costs if r["model"].startswith("teacher, 20")] == [20.0] * 4


def test_the_page_is_whole_and_loads_nothing(scored, benchmark, generated_root, config, tmp_path):
    found = evaluated(scored, benchmark, generated_root, config, why_none="No training clips are here.")
    text = write_evaluation_page(tmp_path / "page.html", found).read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert all(source.startswith(("data:image/png;base64,", "#")) for source in sources)
    assert "<script" not in text and "url(" not in text
    # What was made of four clips, 2 plots, and 6 worst and 3 best samples with a picture each.
    assert sum(source.startswith("data:") for source in sources) == 1 + 2 + 6 + 3
    opening, _, folded = text.partition("<details>")
    assert opening.count("data:image/png") == 1 and "badness" in folded and "skin: dark" not in opening
    assert 8 <= opening.count("<b>") <= 11 and "gate ≤ 0.25" in opening, "about ten numbers, beside the gate's limits"
    for word in (
        "skin: dark",
        "transformer_seconds",
        "No training clips are here.",
        "badness",
        benchmark.digest[:12],
        benchmark.captions[0][:5],
    ):
        assert word in text, word


def test_the_page_lists_neighbours_and_says_when_it_proposes_nothing(
    scored, benchmark, generated_root, config, tmp_path
):
    rng = np.random.default_rng(0)
    training = TrainingClips(
        [f"clip{i}" for i in range(30)], rng.normal(size=(30, 2)), pd.DataFrame({"motion": rng.normal(size=30)}), 30
    )
    analysis = analyse_errors(rng.normal(size=len(benchmark)), rng.normal(size=(len(benchmark), 2)), training, {})
    found = evaluated(scored, benchmark, generated_root, config, analysis=analysis, training_clips=training.names)
    text = write_evaluation_page(tmp_path / "page.html", found).read_text()
    worst = ranked_samples(found.samples, STUDENT).index[0]
    assert f"clip{analysis.nearest[benchmark.names.index(worst)][0]} (" in text
    assert "nothing is proposed" in text and "motion" in text
