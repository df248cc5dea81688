"""What Dagster is told of an asset: from a subset's flag to the clip's own columns, and where its run is in MLflow."""

import io

import dagster as dg
import pytest
from PIL import Image

from assets.core.steps import Fixed, Picture, Png
from assets.core.workspace import Workspace
from assets.dagster.asset_factory import _TenthsToLog, dagster_metadata
from assets.kinds.column_lineage import RECORD_COLUMNS, clip_columns, score_columns, subset_columns
from assets.make.page_pictures import keep_pictures
from curation.intake.clip_table import CLIPS_SCHEMA
from curation.scores.registry import SCORES
from orchestration.definitions import defs
from profiles import load_profile

WITHOUT_WEIGHTS = ("camera", "resolution", "quality", "people")


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
    assert schema.columns[1].description == "may train with caption and reference"


def test_every_column_that_dagster_shows_is_described_and_nothing_else_is():
    every = load_profile("laptop", [f"curation.scores.{name}={{}}" for name in WITHOUT_WEIGHTS])
    for columns in (clip_columns(), subset_columns(every)):
        assert set(columns.kinds) == set(columns.meanings)
    written = {column for score in SCORES for column in score.columns}
    assert set(score_columns(every).kinds) <= set(score_columns(every).meanings) and written <= set(
        score_columns(every).meanings
    )


def test_links_and_pictures_are_right_whatever_the_ports(tmp_path):
    """They are paths on the address of Dagster's own pages, which leads on to the reports and to MLflow."""
    page = tmp_path / "reports" / "var" / "reports" / "raw_clips" / "s-1 a.html"
    shown = dagster_metadata({"clips": 3, "report": page, "mlflow_run_id": "ab12", "log": tmp_path / "log.html"})
    assert shown["report"].md_str == "[raw_clips/s-1 a](/reports/raw_clips/s-1%20a.html)"
    assert shown["mlflow_run"].md_str == "[ab12](/mlflow/#/runs/ab12)"
    assert shown["log"].text == str(tmp_path / "log.html"), "a file of a machine is a text, not a link"


def test_a_picture_is_a_file_that_the_page_shows_without_a_click(tmp_path):
    workspace = Workspace(tmp_path, load_profile("laptop"))
    values = {"clips": 3, "funnel": Png(picture(200)), "rows": Fixed(7)}
    kept = keep_pictures(workspace, "filtered_subsets", "s-1", values, "funnel")
    again = keep_pictures(workspace, "filtered_subsets", "s-1", {"funnel": Png(picture(90))}, "funnel")
    assert isinstance(kept["funnel"], Picture) and kept["funnel"].path != again["funnel"].path
    shown = dagster_metadata(kept)
    assert next(iter(shown)) == "funnel" and len(shown["funnel"].md_str) < 1000, (
        "Dagster shows longer ones after a click"
    )
    assert (tmp_path / "var" / shown["funnel"].md_str.rpartition("(/")[2].rstrip(")")).read_bytes()[:4] == b"\x89PNG"
    assert shown["clips"] == 3 and shown["rows"].text == "7", "a number that settings decide is not plotted"
    assert "![funnel of the last shard" in (
        defs.resolve_asset_graph().get(dg.AssetKey("filtered_subsets")).description or ""
    )
    with Image.open(workspace.reports / "covers" / "filtered_subsets.png") as cover:
        assert cover.convert("L").getpixel((0, 0)) == 90


def test_a_shards_progress_is_a_line_for_each_tenth():
    lines: list[str] = []
    tell = _TenthsToLog(lines.append)
    for note in ("scoring clips", "encoding"):
        for done in range(1, 31):
            tell(done, 30, note)
    assert len(lines) == 20 and lines[0] == "scoring clips: 3 of 30" and lines[-1] == "encoding: 30 of 30"
    tell(0, 0, "nothing to do")
    assert len(lines) == 20


def picture(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), grey).save(buffer, format="PNG")
    return buffer.getvalue()
