"""A frozen set held against the clips that older snapshots list: by bytes, by identity, by looks, and what is said of shards that are gone."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import puppets
from curation.intake.ingest import ingest_shard
from curation.intake.inspect_file import examine, limits_of
from curation.snapshot import overlap
from curation.snapshot.overlap import overlap_with_snapshots
from curation.snapshot.training_snapshot import SNAPSHOT_SCHEMA
from curation.tables.storage import write_table
from media import encode_clip, sha256_of_file

WHO = {"bytes.mp4": 1, "person.mp4": 2, "looks.mp4": 3, "stranger.mp4": 4}


@pytest.fixture
def shards(tmp_path, inbox, laptop, puppet_bytes):
    """Two shards: the first with the same file and another file of the same person, the second with nearly the same film."""
    names = []
    for files in (
        {"bytes.mp4": puppet_bytes(1), "ann.mp4": puppet_bytes(12)},
        {"film.mp4": again(3), "x.mp4": puppet_bytes(9)},
    ):
        for name, data in files.items():
            (inbox / name).write_bytes(data)
        (inbox / "ann.mp4.json").write_text(json.dumps({"identity": "ann"}))
        paths = [inbox / name for name in files]
        names.append(ingest_shard(paths, tmp_path / "raw", laptop, inbox=inbox).name)
    return names


def again(seed: int) -> bytes:
    return encode_clip(puppets.render(seed).frames, 16, crf=26, pixel_format="yuv420p")


@pytest.fixture
def manifest(tmp_path, laptop, puppet_bytes):
    rows = []
    for name, seed in WHO.items():
        path = tmp_path / f"set-{name}"
        path.write_bytes(puppet_bytes(seed))
        phash = examine(limits_of(laptop), path).pieces[0].phash.hex()
        rows.append(
            {
                "name": name,
                "sha256": sha256_of_file(path),
                "phash": phash,
                "identity": "ann" if seed == 2 else f"file:{seed}",
            }
        )
    return pd.DataFrame(rows)


def snapshot(tmp_path, name: str, shards: list[str]):
    rows = []
    for shard in shards:
        clips = pd.read_parquet(tmp_path / "raw" / shard / "clips.parquet")["clip_id"]
        rows += [{"sample_id": f"{clip}-0", "clip_id": clip, "shard": shard, "bucket": "b", "row": 0} for clip in clips]
    table = pd.DataFrame(rows).assign(**{n: True for n in SNAPSHOT_SCHEMA.names if n not in rows[0]})
    path = tmp_path / name / "samples.parquet"
    path.parent.mkdir()
    write_table(table, path, SNAPSHOT_SCHEMA)
    return path


def test_samples_meet_what_any_snapshot_lists_and_only_that(tmp_path, manifest, shards):
    first, second = snapshot(tmp_path, "one", shards[:1]), snapshot(tmp_path, "two", shards)
    assert overlap_with_snapshots(manifest, [], tmp_path / "raw") == {}
    assert set(overlap_with_snapshots(manifest, [first], tmp_path / "raw")) == {"bytes.mp4", "person.mp4"}
    found = overlap_with_snapshots(manifest, [first, second], tmp_path / "raw")
    assert found.keys() == {"bytes.mp4", "person.mp4", "looks.mp4"}
    assert "the same file" in found["bytes.mp4"] and "nearly the same film" in found["looks.mp4"]
    assert "the same identity (ann)" in found["person.mp4"]


def test_a_shard_that_is_gone_is_said_and_whole_files_of_it_are_still_known(tmp_path, manifest, shards):
    listed = snapshot(tmp_path, "one", shards)
    shutil.rmtree(tmp_path / "raw" / shards[0])
    found = overlap_with_snapshots(manifest, [listed], tmp_path / "raw")
    assert found.keys() == {"bytes.mp4", "looks.mp4", f"shard {shards[0]}"}
    assert "2 clips that were trained on have no row in" in found[f"shard {shards[0]}"]
    assert "dvc pull" in found[f"shard {shards[0]}"] and "no longer has a row" in found["bytes.mp4"]


def test_the_set_is_read_in_shards(tmp_path, manifest, shards, monkeypatch):
    """Each shard's table is read once, however many snapshots list it."""
    read, original = [], overlap.read_table
    monkeypatch.setattr(overlap, "read_table", lambda path: read.append(path.parent.name) or original(path))
    listed = [snapshot(tmp_path, name, shards) for name in ("one", "two", "three")]
    overlap_with_snapshots(manifest, listed, tmp_path / "raw")
    assert np.unique(read, return_counts=True)[1].tolist() == [1] * 5
