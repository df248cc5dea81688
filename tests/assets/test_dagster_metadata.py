"""What Dagster is told of an asset: from a subset's flag to the clip's own columns, and where its run is in MLflow."""

import dagster as dg
import pytest

from assets.dagster.asset_factory import dagster_metadata
from assets.kinds.column_lineage import RECORD_COLUMNS, score_columns, subset_columns
from curation.intake.clip_table import CLIPS_SCHEMA
from curation.scores.registry import SCORES
from profiles import load_profile


@pytest.fixture(scope="module")
def profile():
    return load_profile(
        "laptop",
        [
            "curation.text=motion >= 0.1",
            "curation.audio=has_audio and bits_per_pixel > 0",
            "curation.pose=pose_visibility > 0.5",
        ],
    )


def test_a_subset_reads_its_own_columns_and_those_of_the_weaker_ones(profile):
    sources = subset_columns(profile).sources
    assert sources["text"] == (("clip_scores", "motion"),)
    assert sources["audio"] == tuple(("clip_scores", name) for name in ("bits_per_pixel", "has_audio", "motion"))
    assert sources["pose"] == sources["rejected_by"] and ("clip_scores", "pose_visibility") in sources["pose"]


def test_a_score_comes_from_the_media_or_the_clips_row(profile):
    sources = score_columns(profile).sources
    assert sources["motion"] == (("raw_clips", "member"),)
    assert sources["bits_per_pixel"] == tuple(("raw_clips", name) for name in ("member", "width", "height", "frames"))
    told = tuple(("raw_clips", name) for name in ("caption", "caption_note", "source_name"))
    assert sources["caption"] == sources["caption_source"] == sources["caption_words"] == told
    assert all(column in CLIPS_SCHEMA.names for found in sources.values() for _, column in found)


def test_every_score_that_reads_the_clips_row_says_which_columns():
    assert {score.name for score in SCORES if "record" in score.reads} == set(RECORD_COLUMNS)


def test_dagster_gets_schema_and_lineage_under_its_own_names(profile):
    found = dagster_metadata({"columns": subset_columns(profile), "clips": 3})
    assert found["clips"] == 3 and "columns" not in found
    lineage, schema = found["dagster/column_lineage"], found["dagster/column_schema"]
    lineage, schema = getattr(lineage, "value", lineage), getattr(schema, "value", schema)
    assert lineage.deps_by_column["text"] == [dg.TableColumnDep(dg.AssetKey("clip_scores"), "motion")]
    assert [(column.name, column.type) for column in schema.columns][:2] == [("clip_id", "string"), ("text", "bool")]


def test_a_run_in_mlflow_is_linked_where_people_find_it(monkeypatch):
    monkeypatch.delenv("OMNIHUMAN_MLFLOW_PAGES", raising=False)
    assert dagster_metadata({"mlflow_run_id": "ab12"})["mlflow_run"].value == "http://127.0.0.1:5000/#/runs/ab12"
    monkeypatch.setenv("OMNIHUMAN_MLFLOW_PAGES", "https://mlflow.example")
    assert dagster_metadata({"mlflow_run_id": "ab12"})["mlflow_run"].value == "https://mlflow.example/#/runs/ab12"


def test_a_report_is_linked_where_people_find_it(monkeypatch, tmp_path):
    page = tmp_path / "reports" / "var" / "reports" / "raw_clips" / "s-1 a.html"
    monkeypatch.delenv("OMNIHUMAN_REPORT_PAGES", raising=False)
    shown = dagster_metadata({"report": page, "log": tmp_path / "log.html"})
    assert shown["report_page"].value == "http://127.0.0.1:3001/raw_clips/s-1%20a.html"
    assert shown["report"].value == str(page) and "log_page" not in shown
    monkeypatch.setenv("OMNIHUMAN_REPORT_PAGES", "https://reports.example")
    assert dagster_metadata({"report": page})["report_page"].value == "https://reports.example/raw_clips/s-1%20a.html"
