"""Every table keeps its contract: checked at the writer, checked again at the reader, violations in quarantine."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.core.catalogue import STEPS
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.kinds.contract_checks import contract_checks
from assets.make.execute import execute
from curation.intake import ingest
from curation.intake.clip_table import clips_frame, keeping_the_contract
from curation.intake.ingest import ingest_shard
from curation.tables.contracts import CLIPS, SCORES, SUBSETS
from curation.tables.storage import CONTRACT_KEY, CurationError, read_table, write_table
from profiles import load_profile


@pytest.fixture
def clips(inbox, put_puppet, laptop, tmp_path) -> pd.DataFrame:
    """Twelve good rows, of one clip under twelve ids."""
    report = ingest_shard([put_puppet("a.mp4")], tmp_path / "raw", laptop)
    row = read_table(report.path / "clips.parquet")
    table = pd.concat([row] * 12, ignore_index=True)
    table["sha256"] = [f"{n:064x}" for n in range(12)]
    table["clip_id"] = table["sha256"].str[:16]
    table["clip_id"] = table["sha256"] = [f"{n:016x}" for n in range(12)]
    table["sha256"] = table["clip_id"] + "0" * 48
    return table


BROKEN = {
    "key_is_unique": ("clip_id", f"{1:016x}"),
    "clip_id_is_hex": ("clip_id", "not hex"),
    "clip_id_begins_sha256": ("sha256", "f" * 64),
    "source_sha256_is_hex": ("source_sha256", "unreadable-1"),
    "width_in_range": ("width", 0),
    "fps_in_range": ("fps", float("nan")),
    "seconds_in_range": ("seconds", float("inf")),
    "has_frames": ("frames", 0),
    "range_in_order": ("end_seconds", -1.0),
    "rotation_is_quarter_turn": ("rotation", 45),
    "hdr_is_known": ("hdr", "dolby"),
    "audio_is_described": ("audio_channels", 0),
    "track_is_there": ("audio_track", 1),
    "track_is_chosen": ("audio_choice", ""),
    "audio_is_filled_within_reason": ("audio_filled_seconds", -0.5),
    "phash_is_hex": ("phash", ""),
    "near_duplicate_is_a_clip": ("near_duplicate_of", "the other one"),
    "no_duplicate_of_itself": ("near_duplicate_of", f"{7:016x}"),
}


@pytest.mark.parametrize("rule", sorted(BROKEN))
def test_each_rule_of_clips_is_broken_by_what_it_is_about(rule, clips):
    assert (CLIPS.violations(clips) == "").all()
    column, value = BROKEN[rule]
    clips[column] = clips[column].astype(object)
    clips.loc[7, column] = value
    found = CLIPS.violations(clips)
    assert found[7] == rule and (found.drop(7) == "").all()


def test_a_reader_refuses_a_table_that_was_changed_after_it_was_written(inbox, put_puppet, laptop, tmp_path):
    report = ingest_shard([put_puppet("a.mp4")], tmp_path / "raw", laptop)
    path = report.path / "clips.parquet"
    table = pq.read_table(path)
    assert table.schema.metadata[CONTRACT_KEY] == b"clips"
    place = table.schema.get_field_index("width")
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array([0], pa.int32())), path)
    with pytest.raises(
        CurationError, match=r"1 of 1 rows of .*clips.parquet.*width_in_range \(1\).*materialise it again"
    ):
        read_table(path)


def test_a_writer_refuses_rows_that_break_the_contract_or_the_schema(tmp_path, clips):
    with pytest.raises(CurationError, match="clip_id_is_hex"):
        write_table(clips.assign(clip_id="x"), tmp_path / "t.parquet", contract=CLIPS)
    with pytest.raises(CurationError, match="do not fit the table's schema"):
        write_table(clips.assign(width="wide"), tmp_path / "t.parquet", ingest.CLIPS_SCHEMA)
    assert not (tmp_path / "t.parquet").exists()


def test_rules_of_the_other_tables():
    scores = pd.DataFrame(
        {
            "clip_id": ["0" * 16, "1" * 16],
            "motion": [0.5, float("inf")],
            "keypoints_offset": [0, 5],
            "keypoints_frames": [5, 5],
        }
    )
    assert SCORES.violations(scores).tolist() == ["", "no_infinite_score"]
    assert SCORES.violations(scores.assign(motion=[float("nan"), 0.1])).tolist() == ["", ""]
    subsets = pd.DataFrame(
        {
            "clip_id": ["0", "1", "2"],
            "text": [True, True, False],
            "audio": [True, False, True],
            "pose": [False, True, False],
        }
    )
    assert SUBSETS.violations(subsets).tolist() == ["", "", "subsets_are_nested"], "pose without audio is silent_pose's"


def test_a_violating_clip_is_quarantined_with_the_rules_name(clips):
    clips.loc[3, "width"] = 0
    kept, refused = keeping_the_contract(clips)
    assert len(kept) == 11 and [row[2] for row in refused] == ["contract:width_in_range"]
    assert clips_frame([]).empty and keeping_the_contract(clips_frame([]))[1] == []


@pytest.fixture
def workspace(tmp_path, put_puppet, monkeypatch) -> Workspace:
    """A shard of two files of which one breaks a rule."""
    rows_of = ingest.clip_rows

    def broken(found, name, sidecar):
        return [row | ({"fps": 0.0} if name == "broken.mp4" else {}) for row in rows_of(found, name, sidecar)]

    monkeypatch.setattr(ingest, "clip_rows", broken)
    found = Workspace(tmp_path, load_profile("laptop", []))
    files = [put_puppet("good.mp4"), put_puppet("broken.mp4", seed=1)]
    ingest_shard(files, found.data("raw_clips"), found.profile, inbox=found.inbox)
    return found


def test_above_the_rate_whatever_reads_the_shard_is_held_up(workspace):
    (shard,) = workspace.shards("raw_clips")
    listed = pd.read_parquet(workspace.data("raw_clips", shard) / "quarantine.parquet")
    assert listed["reason"].tolist() == ["contract:fps_in_range"]
    check = contract_checks(workspace, STEPS["raw_clips"], shard)[0]
    assert not check.passed and "1 of 2 rows" in check.message and "fps_in_range (1)" in check.message
    with pytest.raises(AssetError, match=r"clip_scores is held up: check contract of raw_clips.*fps_in_range"):
        execute(workspace, STEPS["clip_scores"], shard)
    lenient = Workspace(workspace.root, load_profile("laptop", ["curation.violations_max=0.5"]))
    assert contract_checks(lenient, STEPS["raw_clips"], shard)[0].passed


def test_dagster_shows_the_check_and_lets_it_block():
    from orchestration.definitions import defs

    keys = {key.asset_key.to_user_string(): key for key in defs.resolve_asset_graph().asset_check_keys}
    assert keys["raw_clips"].name == "contract"
    assert defs.resolve_asset_graph().get(keys["raw_clips"]).blocking
