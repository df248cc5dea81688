"""The page of each stage: whole in one file, with reasons, slices and pictures of what was kept and what was not."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import puppets
from curation.ingest import find_new_clips, ingest_shard
from curation.pages import Section, write_page
from curation.report import score_histograms
from curation.scores import score_shard
from curation.slices import slice_rows
from curation.stage_pages import condition_rows, just_rejected, write_scores_page, write_subsets_page
from curation.storage import read_table
from curation.subsets import select_subsets, threshold_of


@pytest.fixture
def shard(tmp_path, inbox, put_puppet, laptop) -> tuple[Path, Path, Path, dict]:
    for seed, kind in enumerate(["clean", "clean", "still", "wrong_sync", "hidden_arms"]):
        put_puppet(f"home/{kind}-{seed}.mp4", seed=seed, kind=kind)
    name = ingest_shard(find_new_clips(inbox, tmp_path / "raw"), tmp_path / "raw", laptop, inbox=inbox).name
    raw, scores, subsets = tmp_path / "raw" / name, tmp_path / "scores", tmp_path / "subsets"
    score_shard(raw, scores, puppets.PuppetKeypoints(), laptop)
    funnel = select_subsets(raw / "clips.parquet", scores / "scores.parquet", subsets, laptop.curation)
    return raw, scores, subsets, funnel


def pictures(page: str) -> int:
    return len(re.findall(r'<img alt="[^"]*" src="data:image/png;base64,', page))


def test_the_scores_page_shows_every_score_and_both_ends_of_those_that_decide(shard, tmp_path, laptop):
    raw, scores, _, _ = shard
    histograms = score_histograms(read_table(scores / "scores.parquet"), laptop.curation)
    page = write_scores_page(tmp_path / "page.html", raw, scores, histograms, laptop.curation).read_text()
    assert "http" not in re.sub(r"base64,[^\"]*", "", page), "nothing is loaded from elsewhere"
    assert "<td>cut_score</td>" in page and "Lowest and highest motion" in page and "text: motion &gt;= 0.01" in page
    assert pictures(page) >= 1 + 2 * 4


def test_the_subsets_page_says_who_was_turned_away_by_what(shard, tmp_path, laptop):
    raw, scores, subsets, funnel = shard
    page = write_subsets_page(tmp_path / "page.html", raw, scores, subsets, funnel, laptop.curation).read_text()
    assert "<td>motion &gt;= 0.01</td>" in page and "Turned away from audio by mouth_audio_correlation" in page
    assert "Kept for every condition" in page and "<td>source</td><td>home</td>" in page
    assert "<td>all clips</td>" in page and pictures(page) >= 4


def test_just_rejected_are_those_of_one_clause_alone_nearest_first():
    table = pd.DataFrame({"motion": [0.1, 0.4, 0.2, 0.3], "rejected_by": ["text: motion >= 0.5", "text: motion >= 0.5", "text: motion >= 0.5; b", ""]})
    threshold = threshold_of("motion >= 0.5")
    assert just_rejected(table, threshold, "motion >= 0.5")["motion"].tolist() == [0.4, 0.1]


def test_slices_and_hours_add_up():
    ids = list("abcd")
    scores = pd.DataFrame({"clip_id": ids, "seconds": [1.0, 3.0, 3.0, 40.0], "face_size": [0.05, 0.3, 0.3, np.nan], "head_yaw": [0, -50, 20, 3]})
    subsets = pd.DataFrame({"clip_id": ids, "text": [True] * 4, "audio": [True, True, False, False], "pose": [False] * 4})
    clips = pd.DataFrame({"clip_id": ids, "source_name": ["x/1", "x/2", "y/z/3", "4"]})
    rows = {(row["slice"], row["value"]): row for row in slice_rows(clips, scores, subsets)}
    assert rows["shot", "bust"]["clips"] == 2 and rows["shot", "bust"]["in audio"] == "50%"
    assert rows["shot", "unknown"]["clips"] == 1 and rows["head", "profile"]["clips"] == 1
    assert rows["duration", "> 30 s"]["hours"] == pytest.approx(40 / 3600)
    assert {value for name, value in rows if name == "source"} == {"x", "y", "(inbox)"}
    for name in {name for name, _ in rows}:
        assert sum(row["clips"] for (other, _), row in rows.items() if other == name) == 4
    table = scores.merge(subsets, on="clip_id")
    assert [row["clips"] for row in condition_rows(table)] == [4, 4, 2, 0]
    assert condition_rows(table)[2]["hours"] == pytest.approx(4 / 3600)


def test_a_page_escapes_what_it_shows(tmp_path):
    page = write_page(tmp_path / "deep" / "p.html", "<b>", [Section("<i>", "a & b", [{"<u>": "<script>"}])]).read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page and "<b>" not in page and "a &amp; b" in page
