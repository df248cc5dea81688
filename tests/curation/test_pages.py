"""The page of each stage: whole in one file, with reasons, slices and pictures of what was kept and what was not."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import puppets
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.pages.card_page import write_card_page
from curation.pages.features_page import bucket_rows
from curation.pages.figures import score_histograms
from curation.pages.ingest_page import fact_rows, origin_rows, write_ingest_page
from curation.pages.stage_pages import (
    caption_section,
    condition_rows,
    just_rejected,
    worst_rejected,
    write_scores_page,
    write_subsets_page,
)
from curation.pages.subset_slices import slice_rows
from curation.scores.table import score_shard
from curation.snapshot.training_snapshot import SNAPSHOT_SCHEMA
from curation.snapshot.withdrawals import Tombstone
from curation.subsets.nested_subsets import select_subsets, threshold_of
from curation.tables.storage import read_table, write_table
from media.pages import Section, write_page


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
    assert "<td>sidecar</td>" in page and "A person with" in page, "where captions come from, and one of them"


def test_the_subsets_page_says_who_was_turned_away_by_what(shard, tmp_path, laptop):
    raw, scores, subsets, funnel = shard
    page = write_subsets_page(tmp_path / "page.html", raw, scores, subsets, funnel, laptop.curation).read_text()
    assert "<td>motion &gt;= 0.01</td>" in page and "Turned away from audio by mouth_audio_correlation" in page
    assert "<figcaption>in pose</figcaption>" in page and "<figcaption>just: by this clause alone" in page
    assert "<td>source</td><td>home</td>" in page and "<td>caption from</td><td>sidecar</td>" in page
    assert "<td>all clips</td>" in page and pictures(page) >= 4


def test_just_rejected_are_those_of_one_clause_alone_nearest_first():
    table = pd.DataFrame(
        {
            "motion": [0.1, 0.4, 0.2, 0.3],
            "rejected_by": ["text: motion >= 0.5", "text: motion >= 0.5", "text: motion >= 0.5; b", ""],
        }
    )
    threshold = threshold_of("motion >= 0.5")
    assert just_rejected(table, threshold, "motion >= 0.5")["motion"].tolist() == [0.4, 0.1]


def test_the_worst_are_those_farthest_from_the_threshold_whatever_else_they_missed_and_first_those_without_a_value():
    table = pd.DataFrame(
        {
            "motion": [0.1, 0.4, 0.05, 0.3, np.nan],
            "rejected_by": [
                "text: motion >= 0.5",
                "text: motion >= 0.5",
                "text: motion >= 0.5; b",
                "text: b",
                "text: motion >= 0.5",
            ],
        }
    )
    found = worst_rejected(table, threshold_of("motion >= 0.5"), "motion >= 0.5")["motion"].tolist()
    assert np.isnan(found[0]) and found[1:] == [0.05, 0.1, 0.4]


def test_slices_and_hours_add_up():
    ids = list("abcd")
    scores = pd.DataFrame(
        {
            "clip_id": ids,
            "seconds": [1.0, 3.0, 3.0, 40.0],
            "face_size": [0.05, 0.3, 0.3, np.nan],
            "head_yaw": [0, -50, 20, 3],
        }
    )
    subsets = pd.DataFrame(
        {"clip_id": ids, "text": [True] * 4, "audio": [True, True, False, False], "pose": [False] * 4}
    )
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


def test_the_ingest_page_names_every_file_that_could_not_be_used_and_says_why(tmp_path, inbox, put_puppet, laptop):
    sidecar = put_puppet("home/a.mp4").with_name("a.mp4.json")
    sidecar.write_text(json.dumps({"licence": "CC0", "source": "archive", "identity": "Ada"}))
    put_puppet("home/b.mp4", seed=1, kind="no_audio")
    (inbox / "text.mp4").write_text("no video")
    shard = ingest_shard(find_new_clips(inbox, tmp_path / "raw"), tmp_path / "raw", laptop, inbox=inbox).path
    page = write_ingest_page(tmp_path / "page.html", shard).read_text()
    assert (
        "<td>text.mp4</td><td>not_video</td>" in page
        and "2 files became 2 clips" in page
        and "1 files or shots could not be used" in page
    )
    assert pictures(page) == 2, "a contact sheet and the histograms"
    clips = read_table(shard / "clips.parquet")
    facts = {(row["fact"], row["value"]): row["clips"] for row in fact_rows(clips)}
    assert facts["audio_channels", "0"] == facts["audio_channels", "1"] == facts["audio_codec", "none"] == 1
    origins = {row["source"]: row for row in origin_rows(clips)}
    assert (origins["archive"]["licence"], origins["archive"]["named people"]) == ("CC0", 1)
    assert origins["(not said)"]["named people"] == 0


def test_the_dataset_card_adds_up_hours_sources_and_withdrawals_over_its_shards(shard, tmp_path):
    raw, scores, subsets, _ = shard
    roots = [tmp_path / "all" / part for part in ("scores", "subsets")]
    for root, folder in zip(roots, (scores, subsets), strict=True):
        shutil.copytree(folder, root / raw.name)
    inside = read_table(subsets / "subsets.parquet").query("text")
    rows = inside.assign(
        sample_id=inside["clip_id"] + "-00000",
        shard=raw.name,
        bucket="b",
        row=0,
        reference_outside=True,
        has_motion=False,
    )
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    write_table(rows[SNAPSHOT_SCHEMA.names], snapshot / "samples.parquet", SNAPSHOT_SCHEMA)
    counts = {"clips": 5, "text": len(inside), "reference_outside": len(inside), "has_motion": 0}
    listed = {"name": raw.name, "features_sha256": "f" * 64, "clips": 5, "samples": len(inside)}
    described = {
        "digest": "d" * 64, "shards": [listed], "excluded": [{"shard": "s-1", "reason": "no features"}], "counts": counts,
        "predicates": dict.fromkeys(("text", "audio", "pose"), "motion >= 0.01"), "buckets": {"b": 4}, "encoders": {"text": "a" * 64},
    }  # fmt: skip
    (snapshot / "snapshot.json").write_text(json.dumps(described))
    gone = Tombstone("Ada", "identity", ("0" * 16,), ("1" * 64,), "asked to", "2026-11-24T00:00:00+00:00")
    page = write_card_page(tmp_path / "card.html", snapshot, raw.parent, roots[0], roots[1], [gone]).read_text()
    assert "training snapshot dddddddddddd" in page and "<td>no features</td>" in page and "<td>asked to</td>" in page
    assert f"{len(inside)} clips," in page and "in 1 shard;" in page and "<td>source</td><td>home</td>" in page
    assert '<td>all clips</td><td class="number">5</td>' in page and pictures(page) == 2
    assert f'<td>sidecar</td><td class="number">{len(inside)}</td>' in page, (
        "captions of the clips that are trained on, by source"
    )
    shutil.rmtree(roots[0])
    assert (
        "No scores are here."
        in write_card_page(tmp_path / "card.html", snapshot, raw.parent, roots[0], roots[1], []).read_text()
    )


def test_captions_are_shown_by_source_with_the_most_frequent_one():
    scores = pd.DataFrame(
        {
            "caption": ["a man", "a man", "a woman laughs", "home film", ""],
            "caption_source": ["sidecar", "sidecar", "sidecar", "file name", "none"],
            "caption_words": [2.0, 2.0, 3.0, 2.0, 0.0], "seconds": 3600.0,
        }
    )  # fmt: skip
    rows = caption_section(scores).rows
    assert [(row["caption from"], row["clips"], row["hours"], row["different ones"]) for row in rows] == [
        ("sidecar", 3, 3.0, 2), ("file name", 1, 1.0, 1), ("none", 1, 1.0, 1),
    ]  # fmt: skip
    assert rows[0]["the most frequent"] == "a man (2)"
    assert "older version" in caption_section(scores.drop(columns="caption_source")).note


def test_samples_are_counted_by_bucket():
    samples = pd.DataFrame(
        {
            "bucket": ["a", "a", "b"],
            "clip_id": ["1", "1", "2"],
            "reference_outside": [True, False, True],
            "has_motion": [False, False, True],
        }
    )
    rows = bucket_rows(samples)
    assert [(r["bucket"], r["samples"], r["clips"]) for r in rows] == [("a", 2, 1), ("b", 1, 1)]
    assert [(r["reference from outside"], r["motion frames before"]) for r in rows] == [("50%", "0%"), ("100%", "100%")]


def test_words_are_slices_too_and_faces_are_measured_in_the_sources_pixels():
    ids = list("abc")
    scores = pd.DataFrame(
        {
            "clip_id": ids,
            "seconds": 1.0,
            "language": ["en", "de", None],
            "face_size": [0.1, 0.2, 0.2],
            "height": [720.0, 720.0, 200.0],
        }
    )
    subsets = pd.DataFrame({"clip_id": ids, "text": True, "audio": [True, False, False], "pose": False})
    rows = {
        (row["slice"], row["value"]): row["clips"]
        for row in slice_rows(pd.DataFrame({"clip_id": ids}), scores, subsets)
    }
    assert rows["language", "en"] == rows["language", "de"] == rows["language", "unknown"] == 1
    assert (
        rows["face height", "64 to 127 px"]
        == rows["face height", ">= 128 px"]
        == rows["face height", "32 to 63 px"]
        == 1
    )
