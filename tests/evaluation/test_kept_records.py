"""What is measured of a clip is kept to the bit, so shares of a benchmark, and what a kill left, add up to the scores of one process."""

import math

import numpy as np
import pytest
from safetensors.numpy import save

from evaluation.benchmark.generate import Share
from evaluation.kept_records import DIGEST, TREE, KeptRecords
from evaluation.metrics.observation.instruments import Features
from evaluation.scoring import measured
from evaluation.scoring.score import measure_benchmark, score_benchmark
from evaluation.scoring.tables import Tables


def test_a_record_comes_back_as_it_was(tmp_path):
    record = {
        "number": 0.1,
        "none": None,
        "single": np.float32(0.1),
        "features": Features(np.float32([[1, 2]]), np.float32([[math.nan, 4]]).T),
        "pair": (np.zeros((2, 4), int), np.array([True, False]), 3),
        "turned": np.arange(6).reshape(2, 3).T,
    }
    kept = KeptRecords(tmp_path)
    for found in (kept.get("set/clip", lambda: record), kept.get("set/clip", pytest.fail)):
        assert found["number"] == 0.1 and found["none"] is None and found["pair"][2] == 3
        assert found["single"].dtype == np.float32 and found["single"] == record["single"]
        assert np.array_equal(found["features"].generated, record["features"].generated, equal_nan=True)
        assert found["pair"][0].dtype == int and found["pair"][1].tolist() == [True, False]
        assert np.array_equal(found["turned"], record["turned"])
    with pytest.raises(
        TypeError, match="a record of set cannot be kept; list its class in evaluation.kept_records.KINDS"
    ):
        kept.get("another", lambda: {1, 2})


def test_what_was_cut_off_in_the_middle_is_measured_again(tmp_path):
    kept = KeptRecords(tmp_path)

    def killed():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.get("clip", killed)
    assert kept.get("clip", lambda: 1.5) == 1.5 == kept.get("clip", pytest.fail)


def another(tree: str, **tensors: np.ndarray) -> bytes:
    """A whole file of tensors that says this."""
    return save({"0": np.zeros(3), **tensors}, {TREE: tree, DIGEST: "of others"})


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:-3],
        lambda whole: b"x" * 64,
        lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]),
        lambda whole: whole[:-24] + bytes(24),
        lambda whole: save({"0": np.zeros(3)}),
        lambda whole: another("no JSON"),
        lambda whole: another('{"dict": [1]}'),
        lambda whole: whole.replace(b"sha256", b"sha257"),
        lambda whole: whole.replace(b"F64", b"I64"),
    ],
    ids=["empty", "cut off", "no tensors", "a bit", "zeros", "no record", "no JSON", "another tree", "no sum", "dtype"],
)
def test_what_cannot_be_read_is_said_and_measured_again(damage, tmp_path, caplog):
    kept, record = KeptRecords(tmp_path), np.arange(3.0)
    kept.get("clip", lambda: record)
    file = tmp_path / "clip.safetensors"
    file.write_bytes(damage(file.read_bytes()))
    assert np.array_equal(kept.get("clip", lambda: record), record) and str(file) in caplog.text
    assert np.array_equal(kept.get("clip", pytest.fail), record)


def test_blocks_of_puppets_that_two_measured_are_the_scores_of_one(
    tmp_path, generated_root, benchmark, config, monkeypatch
):
    monkeypatch.setattr(measured, "BLOCK", 3)
    config = config.model_copy(update={"bootstrap": 5})
    alone = score_benchmark(generated_root, benchmark, tmp_path / "alone", config)
    kept, done = KeptRecords(tmp_path / "kept"), []
    for index in (1, 0):
        measure_benchmark(
            generated_root, benchmark, config, kept, Share(index, 2), progress=lambda *said: done.append(said)
        )
    sets = len(done) // 2
    assert done[0][:2] == (1, sets) and done[-1][:2] == (sets, sets)
    assert len(list(kept.folder.glob("teacher/audio/*.safetensors"))) == 3  # of 8 clips
    monkeypatch.setattr(measured, "measure", pytest.fail)
    assert score_benchmark(generated_root, benchmark, tmp_path / "shared", config, kept=kept).equals(alone)
    one, other = (Tables.read(tmp_path / name) for name in ("alone", "shared"))
    assert one.slices.equals(other.slices) and one.samples.equals(other.samples) and len(one.samples)
