"""What is held out as a benchmark does not come in as training data under another name, size or compression."""

import cv2
import numpy as np
import pandas as pd
import pytest

import puppets
from curation.intake.held_out import held_out
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.intake.inspect_file import examine, limits_of
from curation.intake.real_clips import BENCHMARK_CLIPS
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import Training
from media import decode_clip, encode_clip

NOBODY = Training(pd.DataFrame(columns=["clip_id"]), "all ingested clips")


def larger(data: bytes) -> bytes:
    """The same film twice as large, coded anew, without its sound."""
    frames = decode_clip(data, 16.0).frames
    return encode_clip(np.stack([cv2.resize(image, (128, 128)) for image in frames]), 16.0)


def test_a_frozen_set_is_refused_by_bytes_and_by_looks_and_a_stranger_comes_in(
    tmp_path, inbox, put_puppet, puppet_bytes, laptop
):
    local = tmp_path / "local"
    local.mkdir()
    for seed in (1, 2):
        (local / f"{seed}.mp4").write_bytes(puppet_bytes(seed))
    build_test_set(local, tmp_path / "test_sets" / "mine", "folder", laptop.video, NOBODY)
    puppet = tmp_path / "benchmark_sets"
    puppet.mkdir()
    benchmark = puppets.render(50_000_000)
    (inbox / "renamed-puppet.mp4").write_bytes(encode_clip(benchmark.frames, 16.0, benchmark.audio))
    (inbox / "holiday.mp4").write_bytes(puppet_bytes(1))
    (inbox / "party.mp4").write_bytes(larger(puppet_bytes(2)))
    put_puppet("mine.mp4", seed=3)
    sha256 = examine(limits_of(laptop), inbox / "renamed-puppet.mp4").sha256
    pd.DataFrame({"name": ["b-0"], "sha256": [sha256]}).to_parquet(puppet / "manifest.parquet")
    files = find_new_clips(inbox, tmp_path / "raw")
    report = ingest_shard(
        files, tmp_path / "raw", laptop, inbox=inbox, held_out=held_out(tmp_path / "test_sets", puppet)
    )
    refused = pd.read_parquet(report.path / "quarantine.parquet").set_index("source_name")
    assert report.clips == 1 and set(refused["reason"]) == {"held_out"} and len(refused) == 3
    assert refused.loc["holiday.mp4", "message"].startswith("it is a file of test set mine")
    assert refused.loc["party.mp4", "message"].startswith("it is nearly the same film as one of test set mine")
    assert "the puppet benchmark" in refused.loc["renamed-puppet.mp4", "message"]
    assert find_new_clips(inbox, tmp_path / "raw") == []


@pytest.mark.end_to_end
def test_the_packaged_benchmark_is_known_by_what_it_looks_like(real_clips, tmp_path, laptop):
    known, whole = held_out(tmp_path, tmp_path), limits_of(laptop)
    for clip in BENCHMARK_CLIPS:
        assert [piece.phash.hex() for piece in examine(whole, real_clips / clip.name).pieces] == [clip.phash]
        (tmp_path / clip.name).write_bytes(larger((real_clips / clip.name).read_bytes()))
        assert "nearly the same film as one of the real-clip benchmark" in known.why(
            examine(whole, tmp_path / clip.name)
        )
    assert known.why(examine(whole, real_clips / "single_face.mp4")) == ""
