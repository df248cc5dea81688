"""Keypoints are on disk as soon as they are found: however many clips a shard has, those of one or two are in memory."""

import weakref

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from curation.intake.ingest import find_new_clips, ingest_shard
from curation.people.keypoints import KEYPOINTS, Detected
from curation.scores.cache import ColumnCache
from curation.scores.table import score_shard
from curation.tables.safetensors_append import GrowingTensors
from curation.tables.storage import read_table

CLIPS = 8  # so few are scored in this process, where their arrays can be watched


class Watched:
    """A detector whose results count how many of them are alive."""

    name, version = "watched", "1"

    def __init__(self) -> None:
        self.alive = self.most = self.calls = 0

    def detect(self, frames: np.ndarray) -> Detected:
        self.calls += 1
        found = np.full((len(frames), KEYPOINTS, 3), self.calls, np.float32)
        found[..., 2] = 0.75
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(found, self._gone)
        return Detected(found, np.full(len(frames), self.calls, np.int32))

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return self.detect(frames).keypoints

    def _gone(self) -> None:
        self.alive -= 1


@pytest.fixture
def shard(tmp_path, inbox, put_puppet, laptop):
    for seed in range(CLIPS):
        put_puppet(f"{seed}.mp4", seed=seed, frames=17 + 4 * (seed % 3))
    return ingest_shard(find_new_clips(inbox, tmp_path / "raw"), tmp_path / "raw", laptop, inbox=inbox).path


def rows_of(folder) -> list[np.ndarray]:
    every = load_file(folder / "keypoints.safetensors")["keypoints"]
    table = read_table(folder / "scores.parquet")
    assert len(every) == table["keypoints_frames"].sum()
    return [every[r.keypoints_offset : r.keypoints_offset + r.keypoints_frames] for r in table.itertuples()]


def test_the_keypoints_of_at_most_two_clips_are_in_memory(shard, tmp_path, laptop):
    detector = Watched()
    score_shard(shard, tmp_path / "scores", detector, laptop, cache=tmp_path / "cache")
    assert detector.calls == CLIPS and detector.most <= 2 and detector.alive == 0
    found = rows_of(tmp_path / "scores")
    assert [rows[0, 0, 0] for rows in found] == list(range(1, CLIPS + 1)), "each clip has its own"
    assert sorted(len(rows) for rows in found) == sorted(17 + 4 * (seed % 3) for seed in range(CLIPS))
    assert not [path for path in (tmp_path / "scores").iterdir() if path.name.startswith(".")]


def test_kept_keypoints_come_back_clip_by_clip_with_their_counts(shard, tmp_path, laptop):
    detector = Watched()
    score_shard(shard, tmp_path / "scores", detector, laptop, cache=tmp_path / "cache")
    before = rows_of(tmp_path / "scores")
    config = laptop.curation.scores.model_copy(
        update={"pose": laptop.curation.scores.pose.model_copy(update={"confident": 0.7})}
    )
    changed = laptop.model_copy(update={"curation": laptop.curation.model_copy(update={"scores": config})})
    report = score_shard(shard, tmp_path / "scores", detector, changed, cache=tmp_path / "cache")
    assert detector.calls == CLIPS and report.computed["pose"] == CLIPS and report.computed["keypoints"] == 0
    for old, new in zip(before, rows_of(tmp_path / "scores"), strict=True):
        np.testing.assert_array_equal(old, new)
    (path,) = (tmp_path / "cache").glob("keypoint-rows-*/*.safetensors")
    places = ColumnCache(tmp_path / "cache", shard.name).keypoints(path.parent.name)
    read = [place.read() for place in places.values()]
    assert sorted(found.people[0] for found in read) == list(range(1, CLIPS + 1))


def test_a_damaged_file_of_kept_keypoints_is_work_to_do_again(shard, tmp_path, laptop):
    detector = Watched()
    score_shard(shard, tmp_path / "scores", detector, laptop, cache=tmp_path / "cache")
    (path,) = (tmp_path / "cache").glob("keypoint-rows-*/*.safetensors")
    path.write_bytes(path.read_bytes()[:1000])
    report = score_shard(shard, tmp_path / "scores", detector, laptop, cache=tmp_path / "cache")
    assert report.computed["keypoints"] == CLIPS and report.computed["motion"] == 0


def test_growing_tensors_is_a_safetensors_file_with_every_row_and_its_metadata(tmp_path):
    path, rng = tmp_path / "x.safetensors", np.random.default_rng(0)
    parts = [rng.random((n, 3), np.float32) for n in (2, 0, 5)]
    with GrowingTensors(path, {"a": ((3,), "float32"), "n": ((), "int32")}) as tensors:
        assert [tensors.append("a", part) for part in parts] == [0, 2, 2]
        tensors.append("n", np.arange(4))
        with pytest.raises(ValueError, match=r"takes rows of \(3,\) in a, got \(2,\)"):
            tensors.append("a", np.zeros((1, 2)))
        tensors.close({"what": "rows"})
    found = load_file(path)
    np.testing.assert_array_equal(found["a"], np.concatenate(parts))
    assert found["n"].dtype == np.int32 and found["n"].tolist() == [0, 1, 2, 3]
    with safe_open(path, "np") as file:
        assert file.metadata() == {"what": "rows"}
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]
