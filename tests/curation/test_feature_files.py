"""Features on disk: both layouts give the same rows, and nothing is kept that is zero or stands twice."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from curation.features import feature_writer
from curation.features.feature_writer import BucketWriter, TextWriter, without_padding
from media.features.hash_store import HashStore
from media.features.places import parts_of
from media.features.rounding import from_int8, to_int8
from media.features.rows import ShardRows
from media.features.tensor_file import LocalBytes, OpenFiles, TensorFile
from tests.curation.shard_workspace import FIRST_LAYOUT, in_the_first_layout

BUCKET, ROWS, TOKENS = "16x32x9@16", 7, 6
SHAPES = {
    "latents": (16, 3, 2, 4), "reference_latents": (16, 1, 2, 4), "motion_latents": (16, 2, 2, 4), "audio": (9, 2, 5), "keypoints": (9, 133, 3),
}  # fmt: skip
TEXT_OF = [1, 1, 2, 0, 2, 2, 1]  # text of each row; 0 is the empty prompt


@pytest.fixture
def random_rows() -> dict[str, np.ndarray]:
    """What the encoders give: rows without motion or sound are zero, text is zero past its end."""
    rng = np.random.default_rng(0)
    rows = {name: rng.normal(size=(ROWS, *shape)).astype(np.float16) for name, shape in SHAPES.items()}
    rows["keypoints"] = rng.normal(size=(ROWS, *SHAPES["keypoints"])).astype(np.float32)
    rows["has_motion"], rows["has_audio"] = (
        np.array([0, 1, 1, 0, 1, 0, 1], np.uint8),
        np.array([1, 0, 0, 1, 1, 0, 1], np.uint8),
    )
    rows["motion_latents"][rows["has_motion"] == 0] = 0
    rows["audio"][rows["has_audio"] == 0] = 0
    texts = rng.normal(size=(3, TOKENS, 4)).astype(np.float16)
    for text, length in enumerate((1, 4, TOKENS)):
        texts[text, length:] = 0
    return rows | {"text": texts[TEXT_OF], "null_text": texts[0]}


def write(folder, rows, latents="float16", order=range(ROWS)):
    with TextWriter(folder, TOKENS) as texts:
        for number in range(3):
            texts.add(rows["text"][TEXT_OF.index(number)])
    writer = BucketWriter(folder, BUCKET, SHAPES, rows["has_motion"] == 1, latents)
    for row in order:
        one = {name: values[row : row + 1] for name, values in rows.items() if name not in ("text", "null_text")}
        writer.put([row], one | {"text_row": np.array([TEXT_OF[row]])})
    writer.close()
    return writer.files | texts.files


def read(folder, rows=range(ROWS)) -> dict[str, np.ndarray]:
    shard = ShardRows(folder, OpenFiles())
    found = {name: shard.read(BUCKET, name, rows) for name in FIRST_LAYOUT}
    plain = {name: kept if scale is None else from_int8(kept, scale) for name, (kept, scale) in found.items()}
    return plain | {"null_text": shard.null_text(BUCKET)}


@pytest.mark.parametrize("most", [feature_writer.MAX_BYTES, 60_000, 1])
def test_rows_come_back_bit_for_bit_from_either_layout_whatever_the_files_sizes(
    tmp_path, random_rows, monkeypatch, most
):
    monkeypatch.setattr(feature_writer, "MAX_BYTES", most)
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    save_file(random_rows, old / f"features-{BUCKET}.safetensors")
    files = write(new, random_rows)
    assert len(parts_of(new, BUCKET)) == {feature_writer.MAX_BYTES: 1, 60_000: 3, 1: 7}.get(most, 1)
    assert set(files.values()) == set(new.iterdir())
    assert most == 1 or max(path.stat().st_size for path in files.values()) <= most, "one row may be larger than that"
    for order in (range(ROWS), [5, 0, 0, 6, 3]):
        kept = {name: values[list(order)] for name, values in random_rows.items() if name != "null_text"}
        for folder in (old, new):
            found = read(folder, order)
            for name, values in kept.items():
                assert found[name].dtype == values.dtype and np.array_equal(found[name], values), (folder, name)
            assert np.array_equal(found["null_text"], random_rows["null_text"])
    assert ShardRows(old, OpenFiles()).shapes(BUCKET) | {"has_motion": (), "has_audio": ()} == {
        **ShardRows(new, OpenFiles()).shapes(BUCKET), "has_motion": (), "has_audio": (),
    }  # fmt: skip


def test_bytes_depend_on_samples_alone_and_hold_no_row_that_is_zero(tmp_path, random_rows):
    for name, order in (("a", range(ROWS)), ("b", [6, 2, 5, 0, 1, 4, 3])):
        (tmp_path / name).mkdir()
        write(tmp_path / name, random_rows, order=order)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    kept = load_file(tmp_path / "a" / f"features-{BUCKET}-000000.safetensors")
    assert kept["audio"].shape[0] == 4 and kept["motion_latents"].shape[0] == 4
    texts = load_file(tmp_path / "a" / "text-000000.safetensors")
    assert texts["text"].shape == (1 + 4 + TOKENS, 4) and texts["offsets"].tolist() == [0, 1, 5, 11]
    assert len(without_padding(np.zeros((3, 2)))) == 0


def test_eight_bits_are_off_by_half_a_127th_of_a_frames_largest_and_kept_rows_are_not_rounded_again(
    tmp_path, random_rows
):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    write(tmp_path / "a", random_rows, "int8")
    found = read(tmp_path / "a")
    for name in ("latents", "reference_latents", "motion_latents"):
        exact = random_rows[name].astype(np.float32)
        bound = np.abs(exact).max(axis=(3, 4), keepdims=True) / 127 / 2
        assert (np.abs(found[name] - exact) <= bound * 1.0001).all()
    assert not found["motion_latents"][0].any()
    assert np.array_equal(found["audio"], random_rows["audio"]), "only latents are rounded"
    shard = ShardRows(tmp_path / "a", OpenFiles())
    assert shard.latents_dtype(BUCKET) == "int8"
    again = dict(random_rows)
    for name in ("latents", "reference_latents", "motion_latents"):
        again[name], again[f"{name}_scale"] = shard.read(BUCKET, name, range(ROWS))
    write(tmp_path / "b", again, "int8")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    steps, scale = to_int8(np.array([0.0, -254.0, 127.0, 1.0], np.float16).reshape(1, 1, 1, 1, 4))
    assert steps.ravel().tolist() == [0, -127, 64, 0] and scale.item() == 2.0  # 63.5 and 0.5 go to the even neighbour


class Counting(LocalBytes):
    """Counts the bytes that are read."""

    read = 0

    def read_into(self, offset, buffer):
        self.read += len(buffer)
        super().read_into(offset, buffer)


def test_a_row_is_read_alone_and_of_a_video_its_first_latent_alone(tmp_path, random_rows):
    write(tmp_path, random_rows)
    source = Counting(tmp_path / f"features-{BUCKET}-000000.safetensors")
    file = TensorFile(source)
    source.read = 0
    first = file.rows("latents", [3, 1], cut=(2, 1))
    assert np.array_equal(first, random_rows["latents"][[3, 1], :, :1]) and source.read == 2 * 16 * 2 * 4 * 2
    assert np.array_equal(file.rows("keypoints", [2], cut=(1, 4)), random_rows["keypoints"][[2], :4])
    file.close()


def test_a_file_that_was_cut_off_says_so(tmp_path, random_rows):
    write(tmp_path, random_rows)
    path = tmp_path / f"features-{BUCKET}-000000.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(OSError, match=rf"{path.name} ends at .*build it again"):
        ShardRows(tmp_path, OpenFiles()).read(BUCKET, "audio", [6])


def test_few_files_stay_open(tmp_path, random_rows, monkeypatch):
    monkeypatch.setattr(feature_writer, "MAX_BYTES", 1)
    write(tmp_path, random_rows)
    opened = OpenFiles(most=2)
    shard = ShardRows(tmp_path, opened)
    assert np.array_equal(shard.read(BUCKET, "latents", range(ROWS))[0], random_rows["latents"])
    assert len(opened._open) == 2


def test_a_file_is_hashed_once_for_as_long_as_nobody_touches_it(tmp_path, monkeypatch):
    file, store = tmp_path / "a", HashStore(tmp_path / "var" / "hashes.db")
    file.write_bytes(b"one")
    hashed = []
    monkeypatch.setattr(
        "media.features.hash_store.sha256_of_file", lambda path: hashed.append(path.name) or path.read_text()
    )
    assert [store.sha256(file), HashStore(tmp_path / "var" / "hashes.db").sha256(file)] == ["one", "one"]
    file.rename(tmp_path / "b")
    assert store.sha256(tmp_path / "b") == "one" and hashed == ["a"], "a renamed file is the same file"
    (tmp_path / "b").write_bytes(b"two")
    assert store.sha256(tmp_path / "b") == "two" and HashStore(None).sha256(tmp_path / "b") == "two"
    assert hashed == ["a", "b", "b"]
    (tmp_path / "var" / "hashes.db").write_text("no database")
    assert store.sha256(tmp_path / "b") == "two", "a damaged store costs a reading"


def test_features_of_the_first_layout_are_laid_out_anew_without_an_encoder_and_stay_the_same_snapshot(
    workspace, put_puppet, monkeypatch
):
    for seed, kind in enumerate(["clean", "no_audio"]):
        put_puppet(f"{kind}.mp4", seed=seed, kind=kind)
    name = workspace.ingest()
    first, folder = workspace.features(name), workspace.root / "features" / name
    before, snapshot = {path.name: path.read_bytes() for path in folder.iterdir()}, workspace.freeze()
    in_the_first_layout(folder)
    assert workspace.freeze() == snapshot, "today's files are read as they are"
    workspace.encoders = None
    monkeypatch.setattr("curation.features.shard_features.encoders_here", lambda profile: pytest.fail("no need"))
    again = workspace.features(name)
    assert (again.reused, again.encoded, again.features_sha256) == (2, 0, first.features_sha256)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before and workspace.freeze() == snapshot
    rounded = workspace.profile.encoders.model_copy(update={"latents": "int8"})
    workspace.profile = workspace.profile.model_copy(update={"encoders": rounded})
    eighth = workspace.features(name)
    assert (eighth.reused, eighth.encoded) == (2, 0) and eighth.bytes < first.bytes
    assert workspace.freeze() != snapshot
