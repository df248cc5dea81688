"""A frozen set is read whole, as it was frozen, or refused by one error that names the file."""

import dataclasses
import json
import math

import cv2
import numpy as np
import pandas as pd
import pytest
import soundfile

from media import encode_clip, sha256_of_file
from media.frozen_set import FILES, FrozenSample, FrozenSetError, file_in_set, load_frozen_set, write_manifest
from media.keypoints.keypoint_file import Keypoints, write_keypoints
from media.records import RecordError

POINTS = np.random.default_rng(0).random((5, 133, 3), np.float32)
PICTURE = np.full((32, 48, 3), (200, 100, 50), np.uint8)
MORE = {"kind": "folder", "disjoint_from": "nothing", "pose_detector": None, "skipped": {"a.mp4": "too short"}}


def sample(folder, name: str, silent: bool = False) -> FrozenSample:
    files = {column: file_in_set(column, name) for column in FILES if not (silent and column in ("audio", "pose"))}
    for file in files.values():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / files["clip"]).write_bytes(encode_clip(np.stack([PICTURE] * 5), 25.0))
    cv2.imwrite(str(folder / files["reference"]), PICTURE[..., ::-1])
    if not silent:
        soundfile.write(folder / files["audio"], np.full(3200, 0.25), 16_000, "PCM_16")
        write_keypoints(folder / files["pose"], Keypoints(POINTS, 48, 32, 25.0))
    hashes = {f"{column}_sha256": sha256_of_file(folder / file) for column, file in files.items()}
    empty = {field.name: field.type() for field in dataclasses.fields(FrozenSample)}
    facts = {"loudness": math.nan if silent else -12.0, "face_luma": math.nan}
    size = {"width": 48, "height": 32, "bucket": "32x48x5", "window_frames": 5, "fps": 25.0, "sample_rate": 16_000}
    return FrozenSample(**empty | files | hashes | facts | size | {"sample_id": name, "identity": name[0]})


@pytest.fixture
def frozen(tmp_path):
    folder = tmp_path / "set"
    write_manifest(folder, [sample(folder, "b-0", silent=True), sample(folder, "a-0"), sample(folder, "a-1")], MORE)
    return folder


def test_everything_is_read_as_it_was_written(frozen):
    found = load_frozen_set(frozen)
    assert [one.sample_id for one in found.samples] == ["a-0", "a-1", "b-0"] and len(found) == 3
    first, last = found.samples[0], found.samples[2]
    assert np.abs(found.frames(first).astype(int) - PICTURE).max() <= 2 and found.frames(first).shape == (5, 32, 48, 3)
    assert np.array_equal(found.reference(first), PICTURE)
    assert found.audio(first) == pytest.approx(np.full(3200, 0.25)) and np.array_equal(found.keypoints(first), POINTS)
    assert found.audio(last) is None and found.keypoints(last) is None
    assert math.isnan(first.face_luma) and first.loudness == -12.0 and math.isnan(last.loudness)
    assert found.manifest["identity"].tolist() == ["a", "a", "b"] and found.manifest["face_luma"].isna().all()
    assert (found.record.kind, found.skipped) == ("folder", {"a.mp4": "too short"})
    record = json.loads((frozen / "test_set.json").read_text())
    assert (record["samples"], record["identities"], record["buckets"]) == (3, 2, {"32x48x5": 3})


def test_the_table_has_a_column_of_one_type_for_each_fact_even_if_none_is_known(frozen):
    table = pd.read_parquet(frozen / "manifest.parquet")
    assert table["face_luma"].dtype == table["loudness"].dtype == np.float64 and table["people"].dtype == np.int32


@pytest.mark.parametrize("column", FILES)
def test_a_file_that_is_gone_or_has_other_bytes_is_named(frozen, column):
    file = frozen / file_in_set(column, "a-1")
    before = file.read_bytes()
    file.write_bytes(before + b"x")
    with pytest.raises(FrozenSetError, match=f"{file} is missing or not the frozen file.*omnihuman testset build"):
        load_frozen_set(frozen)
    file.unlink()
    with pytest.raises(FrozenSetError, match=f"{file} is missing or not the frozen file"):
        load_frozen_set(frozen)


def test_a_changed_manifest_is_named(frozen):
    pd.read_parquet(frozen / "manifest.parquet").assign(identity="x").to_parquet(frozen / "manifest.parquet")
    with pytest.raises(FrozenSetError, match=r"manifest.parquet is missing or not the frozen file"):
        load_frozen_set(frozen)


def test_a_set_of_before_is_to_be_built_again(frozen):
    record = json.loads((frozen / "test_set.json").read_text())
    del record["format"]
    (frozen / "test_set.json").write_text(json.dumps(record))
    with pytest.raises(
        FrozenSetError, match="is a test set of format 1.*build it again with `omnihuman testset build`"
    ):
        load_frozen_set(frozen)


def test_no_set_and_a_broken_record_are_said(tmp_path, frozen):
    with pytest.raises(FrozenSetError, match="no test set in .*omnihuman testset build"):
        load_frozen_set(tmp_path / "none")
    (frozen / "test_set.json").write_text("{")
    with pytest.raises(RecordError, match=r"test_set.json is broken"):
        load_frozen_set(frozen)
