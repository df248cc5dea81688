"""Features that lie in DVC's remote alone, on a real S3 protocol server: rows by range through a bounded cache, and a store that fails."""

import hashlib
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from media.features.remote import RemoteFeatures
from media.features.rows import ShardRows
from media.features.tensor_file import OpenFiles
from media.store import block_cache, objects
from media.store.block_cache import BlockCache
from media.store.listing import RemoteFolder, fetch_folders, object_name, parse_listing
from media.store.objects import ObjectStore, StoreError
from tests.deploy.failing_store import failing_store
from tests.deploy.servers import name_store, s3_server
from tests.training.synthetic import Rows, finish, lay_out_anew, losses, make_job, write_snapshot

pytestmark = pytest.mark.end_to_end
pytest.importorskip("moto", reason="the extra `s3-test` is not installed")
s3fs = pytest.importorskip("s3fs", reason="the extra `s3` is not installed")
BUCKET, SHARD = "s3://dvc/team", "s-0"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as address, failing_store(address) as store:
        yield store


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A snapshot of one shard, in the second layout."""
    found = tmp_path_factory.mktemp("home")
    write_snapshot(found)
    lay_out_anew(found)
    (found / "features" / SHARD / "samples.parquet").write_bytes(b"only looked for")
    return found


@pytest.fixture
def store(server, monkeypatch):
    """The server without faults, as the environment names it; asked again soon."""
    name_store(monkeypatch, server.address)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr(objects, "FIRST_WAIT", 0.01)
    server.busy, server.refuse, server.delay = 0, "", 0.0
    client = s3fs.S3FileSystem(skip_instance_cache=True)
    client.makedirs("dvc", exist_ok=True)
    server.asked.clear()
    return server


def push(folder: Path, leave_out: str = "") -> str:
    """As DVC does: each file under its hash, then the list; returns the list's hash. `leave_out` did not arrive."""
    there, entries = ObjectStore(BUCKET), []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            md5 = hashlib.md5(path.read_bytes()).hexdigest()
            entries.append({"md5": md5, "relpath": path.relative_to(folder).as_posix()})
            if not leave_out or leave_out not in path.name:
                there.put(object_name(md5), path.read_bytes())
    data = json.dumps(entries).encode()
    listing = hashlib.md5(data).hexdigest() + ".dir"
    there.put(object_name(listing), data)
    return listing


def remote(listing: str, cache: BlockCache) -> RemoteFeatures:
    return RemoteFeatures(f"{BUCKET}#{listing}", cache)


def test_rows_of_a_remote_shard_are_those_of_the_disk_and_come_once(store, root, tmp_path, monkeypatch):
    monkeypatch.setattr(block_cache, "BLOCK", 2**12)
    monkeypatch.setattr("media.store.remote_bytes.BLOCK", 2**12)
    cache = BlockCache(tmp_path / "cache", 2**30)
    features = remote(push(root / "features"), cache)
    here, there = ShardRows(root / "features" / SHARD, OpenFiles()), features.shard(SHARD)
    bucket = Rows().bucket
    assert there.shapes(bucket) == here.shapes(bucket)
    store.asked.clear()
    for name in here.shapes(bucket):
        for rows in ([3], [20, 1, 7]):
            first, second = here.read(bucket, name, rows)[0], there.read(bucket, name, rows)[0]
            assert first.dtype == second.dtype and np.array_equal(first, second)
    whole = sum(path.stat().st_size for path in (root / "features" / SHARD).glob("*.safetensors"))
    fetched = sum(source.fetched for source in features.sources.values())
    assert 0 < fetched < whole and all(asked for method, asked in store.asked if method == "GET")
    store.asked.clear()
    cache.flush()
    again = remote(features._folder.listing, BlockCache(tmp_path / "cache", 2**30)).shard(SHARD)
    assert np.array_equal(again.read(bucket, "latents", [3])[0], here.read(bucket, "latents", [3])[0])
    assert len([1 for method, asked in store.asked if asked]) == 0, "the list alone is asked for; rows are in the cache"


def test_the_cache_keeps_to_its_size_and_forgets_what_was_read_longest_ago(tmp_path):
    cache = BlockCache(tmp_path, 10_000)
    for number in range(40):
        cache.bring(f"{number:032x}", 0, lambda start, stop: b"x" * 1000)
        cache.flush()
    assert sum(path.stat().st_size for path in tmp_path.glob("??/*")) <= 10_000
    kept = [path.name for path in tmp_path.glob("??/*")]
    assert f"{39:030x}-0" in kept and f"{0:030x}-0" not in kept


def test_who_reads_a_block_does_not_wait_for_the_disk_unless_many_blocks_do(tmp_path, monkeypatch):
    free, fetched, write = threading.Event(), list[str](), block_cache.write_atomically

    def when_free(path: Path, data: bytes) -> None:
        free.wait(60)
        write(path, data)

    def read(cache: BlockCache, number: int) -> bytes:
        return cache.read(f"{number:032x}", 0, 1, 2, lambda start, stop: fetched.append(f"{number}") or b"abcd")

    monkeypatch.setattr(block_cache, "write_atomically", when_free)
    cache = BlockCache(tmp_path, 2**30)
    assert [read(cache, number) for number in range(block_cache.BEHIND) for _ in range(2)] == [
        b"bc"
    ] * 2 * block_cache.BEHIND
    assert len(fetched) == block_cache.BEHIND and not [path for path in tmp_path.rglob("*") if path.is_file()]
    late = threading.Thread(target=read, args=(cache, 99), daemon=True)
    late.start()
    late.join(0.2)
    assert late.is_alive(), "one more is written by who reads it"
    free.set()
    late.join(60)
    cache.flush()
    assert (
        len([path for path in tmp_path.rglob("*") if path.is_file()]) == block_cache.BEHIND + 1 and not cache._waiting
    )
    assert read(BlockCache(tmp_path, 2**30), 99) == b"bc" and fetched.count("99") == 1


def test_a_full_disk_is_said_once_and_costs_no_row(tmp_path, monkeypatch, caplog):
    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(block_cache, "write_atomically", full)
    cache = BlockCache(tmp_path, 2**30)
    for number in range(3):
        assert cache.read(f"{number:032x}", 0, 0, 4, lambda start, stop: b"abcd") == b"abcd"
    cache.flush()
    (said,) = caplog.messages
    assert "No space left on device" in said and "make room there" in said


def test_a_training_reads_its_rows_in_the_store_and_loses_no_bit(store, root, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_CACHE", str(tmp_path / "cache"))
    here = make_job(root, "here", "stage", "stage_1", 3)
    elsewhere = here.model_copy(
        update={
            "features_root": str(tmp_path / "none"), "features_remote": f"{BUCKET}#{push(root / 'features')}",
            "output": str(root / "there"), "work": str(root / "work" / "there"),
        }
    )  # fmt: skip
    finish(here)
    store.busy = 3
    finish(elsewhere)
    assert losses(here).equals(losses(elsewhere))
    assert list((tmp_path / "cache" / "features").glob("??/*"))


def test_a_busy_or_slow_store_is_asked_again(store, tmp_path):
    there = ObjectStore(BUCKET, patience=20)
    there.put("a", b"bytes")
    store.busy, store.delay = 4, 0.05
    assert there.whole("a") == b"bytes" and there.range("a", 1, 3) == b"yt"
    store.busy = 10**6
    with pytest.raises(StoreError, match=r"s3://dvc/team/a could not be read within 0 s .*same command goes on"):
        ObjectStore(BUCKET, patience=0.05).whole("a")


def test_what_the_store_refuses_says_what_to_do(store):
    there = ObjectStore(BUCKET, patience=5)
    there.put("a", b"bytes")
    store.refuse = "ExpiredToken"
    with pytest.raises(StoreError, match="credentials for .* have expired"):
        there.whole("a")
    store.refuse = "AccessDenied"
    with pytest.raises(StoreError, match="writing s3://dvc/team/b is not allowed"):
        there.put("b", b"bytes")
    store.refuse = ""
    with pytest.raises(StoreError, match="no such bucket"):
        ObjectStore("s3://nowhere/team", patience=1).put("b", b"bytes")


def test_a_half_uploaded_shard_is_named_and_goes_on_when_it_is_whole(store, root, tmp_path):
    for path in (root / "features" / SHARD).glob("features-*"):
        ObjectStore(BUCKET)  # of an earlier test the bytes may be there
        name = object_name(hashlib.md5(path.read_bytes()).hexdigest())
        s3fs.S3FileSystem(skip_instance_cache=True).rm(f"dvc/team/{name}")
    listing = push(root / "features", leave_out="features-")
    s3fs.S3FileSystem.clear_instance_cache()
    cache = tmp_path / "cache"
    with pytest.raises(StoreError, match="a push was broken off"):
        remote(listing, BlockCache(tmp_path / "blocks", 2**30)).shard(SHARD).shapes(Rows().bucket)
    with pytest.raises(StoreError, match=r"lacks s-0/features-.* a push was broken off"):
        fetch_folders(ObjectStore(BUCKET), [listing], cache)
    assert not (cache / listing[:2] / listing[2:]).exists(), "a folder's list is written when all of it is here"
    push(root / "features")
    s3fs.S3FileSystem.clear_instance_cache()
    assert fetch_folders(ObjectStore(BUCKET), [listing], cache) > 0
    assert fetch_folders(ObjectStore(BUCKET), [listing], cache) == 0
    for name, md5 in RemoteFolder(ObjectStore(BUCKET), listing).files.items():
        assert (cache / md5[:2] / md5[2:]).read_bytes() == (root / "features" / name).read_bytes()


def test_bytes_that_are_not_what_their_hash_says_are_not_used(store, root, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_bytes(b"right")
    listing = push(folder)
    ObjectStore(BUCKET).put(object_name(hashlib.md5(b"right").hexdigest()), b"wrong")
    with pytest.raises(StoreError, match="is not what its hash"):
        fetch_folders(ObjectStore(BUCKET), [listing], tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    with pytest.raises(StoreError, match="leads out of the folder"):
        parse_listing(json.dumps([{"relpath": "../up", "md5": "0" * 32}]).encode(), "l")
    with pytest.raises(StoreError, match="which is no MD5 hash"):
        parse_listing(json.dumps([{"relpath": "a", "md5": "../../../up"}]).encode(), "l")
    shutil.rmtree(folder)
