"""Only what changed is computed: counted by calls, per score and clip."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from curation.people.keypoints import Detected
from curation.scores import registry
from curation.scores.registry import versions_digest
from curation.scores.unfinished import UnfinishedScores
from curation.subsets.nested_subsets import select_subsets
from tests.curation.score_bench import CLIPS


def test_each_clip_is_decoded_once_and_a_second_run_does_nothing(bench):
    first = bench.run()
    assert bench.decoded == CLIPS and bench.detector.calls == CLIPS
    assert set(first.computed.values()) == {CLIPS}
    before = bench.table()
    again = bench.run()
    assert (bench.decoded, bench.detector.calls, bench.scored) == (0, 0, [])
    assert set(again.computed.values()) == {0}
    pd.testing.assert_frame_equal(bench.table(), before)


def test_a_scores_new_version_computes_its_columns_and_no_others(bench, monkeypatch):
    bench.run()
    digest = versions_digest()
    before = bench.table()
    newer = dataclasses.replace(registry.CUTS, version="3", compute=lambda material, config: {"cut_score": 0.25})
    changed = tuple(newer if score.name == "cuts" else score for score in registry.SCORES)
    monkeypatch.setattr(registry, "SCORES", changed)
    report = bench.run()
    assert bench.scored == ["cuts"] * CLIPS and bench.detector.calls == 0
    assert {name for name, count in report.computed.items() if count} == {"cuts"}
    after = bench.table()
    assert (after["cut_score"] == 0.25).all()
    pd.testing.assert_frame_equal(after.drop(columns="cut_score"), before.drop(columns="cut_score"))
    assert versions_digest() != digest, "the step's version follows its scores'"


def test_a_scores_new_configuration_computes_its_columns_and_going_back_computes_none(bench):
    bench.run()
    config = bench.profile.curation.scores.sound
    bench.run(sound=config.model_copy(update={"audible_db": -20.0}))
    assert bench.scored == ["sound"] * CLIPS and bench.detector.calls == 0
    bench.run()
    assert bench.scored == [] and bench.decoded == 0


def test_a_score_of_keypoints_alone_does_not_decode(bench):
    bench.run()
    config = bench.profile.curation.scores.pose
    bench.run(pose=config.model_copy(update={"confident": 0.9}))
    assert bench.scored == ["pose"] * CLIPS and bench.decoded == 0 and bench.detector.calls == 0


def test_another_detector_computes_what_reads_keypoints(bench):
    bench.run()
    bench.detector.version = "2"
    bench.run()
    assert sorted(set(bench.scored)) == ["mouth_audio", "pose", "presence"]
    assert bench.detector.calls == bench.decoded == CLIPS


def test_a_threshold_computes_no_score(bench):
    bench.run()
    bench.scored, bench.decoded = [], 0
    rules = bench.profile.curation.model_copy(update={"text": "motion >= 1000"})
    funnel = select_subsets(
        bench.shard / "clips.parquet", bench.root / "scores" / "scores.parquet", bench.root / "subsets", rules
    )
    assert (funnel["clips_in"], funnel["text"]) == (CLIPS, 0)
    assert (bench.scored, bench.decoded, bench.detector.calls) == ([], 0, CLIPS)


def test_a_damaged_cache_file_is_work_to_do_again(bench):
    bench.run()
    for path in (bench.root / "cache").rglob("*.parquet"):
        path.write_bytes(b"half")
    report = bench.run()
    assert report.computed["motion"] == CLIPS and report.computed["keypoints"] == 0


def test_a_scoring_that_was_cut_off_goes_on_where_it_was(bench, monkeypatch):
    """Of a shard's clips those that were done are neither decoded nor looked at again, and the tables are those of one go."""
    bench.run()
    whole = bench.table()
    for part in ("cache", "scores"):
        shutil.rmtree(bench.root / part)
    find = type(bench.detector).__call__

    def cut_off(detector, frames):
        if detector.calls == CLIPS - 1:
            raise KeyboardInterrupt
        return find(detector, frames)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(bench.detector), "__call__", cut_off)
        bench.run()
    report = bench.run()
    assert (bench.decoded, bench.detector.calls) == (1, 1) and set(report.computed.values()) == {1}
    pd.testing.assert_frame_equal(bench.table(), whole)
    assert not (bench.root / "cache" / "unfinished" / bench.shard.name).exists()
    again = bench.run()
    assert bench.decoded == 0 and set(again.computed.values()) == {0}, "all of it came into the cache"


def test_keypoints_that_lie_in_columns_come_back_from_a_killed_scoring(tmp_path):
    """A detector may return a transposed array, which safetensors 0.8.0 writes as it lies in memory."""
    keypoints = np.arange(2 * 133 * 3, dtype=np.float32).reshape(3, 133, 2).transpose(2, 1, 0)
    kept, places = UnfinishedScores(tmp_path), {}
    kept.add("ab", {}, "detector", Detected(keypoints, None))
    kept.restore({}, "detector", {}, places)
    np.testing.assert_array_equal(places["ab"].read().keypoints, keypoints)
