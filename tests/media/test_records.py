"""snapshot.json, encoders.json and record.json: read typed, written byte for byte, refused with the file's name."""

import json

import pytest

from media.records import EncodersRecord, ProductRecord, RecordError, SnapshotRecord


def test_a_record_is_written_byte_for_byte_as_it_was_read_with_keys_that_nobody_knows(tmp_path):
    values = {"weights_digest": "ab", "name": "stage_1_checkpoint", "of_a_later_version": [1, {"b": 2, "a": 1}]}
    (tmp_path / "record.json").write_text(json.dumps(values, indent=1) + "\n")
    (tmp_path / "copy").mkdir()
    record = ProductRecord.read(tmp_path)
    assert record.write(tmp_path / "copy").read_bytes() == (tmp_path / "record.json").read_bytes()
    assert (record.name, record.weights_digest, record.continued_from, record.section) == (
        "stage_1_checkpoint",
        "ab",
        None,
        None,
    )


def test_snapshot_and_encoders_are_written_with_their_keys_sorted(tmp_path):
    values = {"digest": "d", "counts": {"text": 2, "clips": 1}, "buckets": {"b": 3}}
    path = SnapshotRecord(values).write(tmp_path)
    assert path.read_text() == json.dumps(values, indent=1, sort_keys=True) + "\n"
    snapshot = SnapshotRecord.read(tmp_path)
    assert (snapshot.digest, snapshot.counts["text"], snapshot.buckets, snapshot.shards) == ("d", 2, {"b": 3}, [])
    identity = {"text": "t", "audio": "a", "buckets": ["64x64x17@16"]}
    path = EncodersRecord(identity).write(tmp_path)
    assert path.name == "encoders.json" and path.read_text().index('"audio"') < path.read_text().index('"text"')
    assert EncodersRecord.read(tmp_path) == EncodersRecord(identity) != EncodersRecord({**identity, "text": "u"})
    assert EncodersRecord.read(tmp_path).buckets == ["64x64x17@16"]


@pytest.mark.parametrize("record", [SnapshotRecord, EncodersRecord, ProductRecord])
def test_a_record_that_is_missing_broken_or_incomplete_is_one_error_with_file_and_remedy(tmp_path, record):
    path = record.path(tmp_path)
    assert record.read_if_there(tmp_path) is None
    with pytest.raises(RecordError, match=f"there is no .*{record.FILE}; {record.REMEDY}"):
        record.read(tmp_path)
    for broken, reason in ((b'{"digest": ', "is broken"), (b"\xff\xfe", "is broken"), (b"[1]", "it holds no object")):
        path.write_bytes(broken)
        for read in (record.read, record.read_if_there):
            with pytest.raises(
                RecordError, match=f"{record.FILE} is broken.*{reason if 'no' in reason else ''}.*; {record.REMEDY}"
            ):
                read(tmp_path)


def test_a_value_that_a_file_of_another_version_lacks_is_named(tmp_path):
    (tmp_path / "record.json").write_text('{"name": "s"}')
    with pytest.raises(RecordError, match=r"record\.json has no 'weights_digest'.*train it again"):
        _ = ProductRecord.read(tmp_path).weights_digest
    parsed = SnapshotRecord.parse(b"{}", "training_snapshot in DVC's cache")
    with pytest.raises(RecordError, match="training_snapshot in DVC's cache has no 'digest'"):
        _ = parsed.digest
