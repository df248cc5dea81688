"""Copies lie near, others far; the search misses nothing and follows the shards."""

import cv2
import numpy as np
import pandas as pd
import pytest

import puppets
from curation.intake.ingest import ingest_shard
from curation.intake.near_duplicates import (
    RECORD,
    DuplicateIndex,
    HashTable,
    find_near_duplicates,
    near_duplicate_groups,
)
from curation.intake.video_hash import KEPT, Thumbnails, video_hash
from curation.subsets.predicates import parse_predicate
from media import encode_clip, probe_clip


def hash_of(data: bytes) -> np.ndarray:
    thumbnails = Thumbnails()
    duration = probe_clip(data, thumbnails.look).duration
    return np.frombuffer(video_hash(thumbnails.between(0.0, duration)), np.uint8)


def apart(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.bitwise_count(a ^ b).sum())


def large(frames: np.ndarray, side: int) -> np.ndarray:
    return np.stack([cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA) for image in frames])


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_near_and_others_are_far(seed):
    frames = puppets.render(seed).frames
    original = hash_of(encode_clip(frames, 16))
    copies = {
        "compressed": encode_clip(frames, 16, crf=28, pixel_format="yuv420p"),
        "smaller": encode_clip(large(frames, 48), 16),
        "larger": encode_clip(large(frames, 160), 16, crf=23, pixel_format="yuv420p"),
        "brighter": encode_clip(np.clip(frames * 1.1 + 5, 0, 255).astype(np.uint8), 16),
    }
    assert {name: apart(original, hash_of(data)) <= 10 for name, data in copies.items()} == dict.fromkeys(copies, True)
    assert all(apart(original, hash_of(encode_clip(puppets.render(100 + s).frames, 16))) > 15 for s in range(5))


def test_the_same_place_moving_otherwise_is_another_film():
    """One person, one wall, other words and gestures: the appearance alone would call it a copy."""
    frames = puppets.render(3).frames
    forward, backward = hash_of(encode_clip(frames, 16)), hash_of(encode_clip(frames[::-1], 16))
    assert apart(forward[:8], backward[:8]) <= 4 and apart(forward, backward) > 10


def test_small_pictures_of_a_long_film_do_not_fill_memory():
    thumbnails = Thumbnails()
    for number in range(5 * KEPT):
        thumbnails.look(number / 25, np.full((27, 48, 3), number * 255 // (5 * KEPT), np.uint8))
    assert len(thumbnails._times) <= KEPT
    means = thumbnails.between(0.0, 5 * KEPT / 25).mean(axis=(1, 2))
    np.testing.assert_allclose(means, (np.arange(16) + 0.5) / 16 * 255, atol=3)


@pytest.mark.parametrize("distance", [5, 10, 15])
def test_the_search_finds_what_a_scan_of_everything_finds(distance):
    rng = np.random.default_rng(0)
    records = np.zeros(3000, RECORD)
    records["hash"] = rng.integers(0, 256, (3000, 16))
    asked = records["hash"][:400].copy()
    for number, row in enumerate(asked):
        for bit in rng.choice(128, number % 20, replace=False):
            row[bit // 8] ^= 1 << (bit % 8)
    rows, distances = HashTable(records, distance).nearest(asked)
    every = np.bitwise_count(asked[:, None] ^ records["hash"][None]).sum(axis=2)
    near = every.min(axis=1) <= distance
    assert near.sum() >= 100 and np.array_equal(rows >= 0, near)
    assert np.array_equal(distances[near], every.min(axis=1)[near]) and np.array_equal(
        rows[near], every.argmin(axis=1)[near]
    )


def test_groups_are_named_after_their_first_clip():
    base = np.random.default_rng(1).integers(0, 256, 16).astype(np.uint8)
    second, third = base.copy(), base.copy()
    second[0] ^= 0b11
    third[5] ^= 0b1
    ids = [f"{n:016x}" for n in (1, 2, 3)]
    matches = find_near_duplicates(ids[:2], [base.tobytes(), second.tobytes()], np.zeros(0, RECORD))
    assert matches[0] is None and (matches[1].clip_id, matches[1].root, matches[1].distance) == (ids[0], ids[0], 2)
    table = pd.DataFrame({"clip_id": ids, "near_duplicate_of": ["", ids[0], ids[0]]})
    assert near_duplicate_groups([table]) == [ids] and near_duplicate_groups([]) == []


@pytest.fixture
def copy_of_puppet(inbox, puppet_bytes):
    def put(name: str, seed: int):
        path = inbox / name
        path.write_bytes(encode_clip(puppets.render(seed).frames, 16, crf=26, pixel_format="yuv420p"))
        return path

    return put


@pytest.mark.parametrize("with_index", [True, False])
def test_copies_are_found_across_shards_and_in_one(inbox, put_puppet, copy_of_puppet, laptop, tmp_path, with_index):
    raw, index = tmp_path / "raw", (tmp_path / "var" / "index" if with_index else None)
    first = ingest_shard([put_puppet("a.mp4", seed=1), put_puppet("b.mp4", seed=2)], raw, laptop, index=index)
    second = ingest_shard([copy_of_puppet("copy of a.mp4", 1), put_puppet("c.mp4", seed=3)], raw, laptop, index=index)
    old = pd.read_parquet(first.path / "clips.parquet").set_index("source_name")
    new = pd.read_parquet(second.path / "clips.parquet").set_index("source_name")
    assert (old["near_duplicate_of"] == "").all() and new.loc["c.mp4", "near_duplicate_of"] == ""
    assert new.loc["copy of a.mp4", "near_duplicate_of"] == old.loc["a.mp4", "clip_id"]
    wanted = parse_predicate('near_duplicate_of == ""', ["near_duplicate_of"])
    assert wanted.passes(new.reset_index()).tolist() == [name != "copy of a.mp4" for name in new.index]


def test_the_index_follows_the_shards(inbox, put_puppet, copy_of_puppet, laptop, tmp_path):
    raw, path = tmp_path / "raw", tmp_path / "index"
    first = ingest_shard([put_puppet("a.mp4", seed=1)], raw, laptop, index=path)
    path.write_bytes(path.read_bytes() + b"half a record")  # a write that was cut off
    ingest_shard([put_puppet("b.mp4", seed=2)], raw, laptop, index=path)
    with DuplicateIndex(raw, path).held() as records:
        assert len(records) == 2
    path.unlink()
    with DuplicateIndex(raw, path).held() as records:
        assert len(records) == 2
    first.path.rename(tmp_path / "gone")
    with DuplicateIndex(raw, path).held() as records:
        assert len(records) == 1
