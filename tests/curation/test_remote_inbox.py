"""Clips from elsewhere: brought once, whole, and never out of their folder."""

import json
import sys

import fsspec
import pytest
from fsspec.registry import _registry

from assets.core.shard_plans import bring_remote_clips, plan_new_shards
from assets.core.workspace import Workspace
from curation.errors import CurationError
from curation.intake.remote_inbox import fetch_remote, is_remote, local_name
from profiles import load_profile


@pytest.fixture
def bucket():
    """An empty place in memory."""
    filesystem = fsspec.filesystem("memory")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()


def test_objects_are_brought_once_and_again_when_they_change(bucket, tmp_path):
    bucket.pipe(
        {"/clips/a.mp4": b"one", "/clips/deep/b.mp4": b"two", "/clips/a.mp4.json": b"{}", "/other/c.mp4": b"no"}
    )
    first = fetch_remote("memory://clips", tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in first.paths] == ["a.mp4.json", "a.mp4", "deep/b.mp4"]
    assert (tmp_path / "deep" / "b.mp4").read_bytes() == b"two" and first.refused == {}
    assert fetch_remote("memory://clips", tmp_path).paths == ()
    bucket.pipe({"/clips/a.mp4": b"other bytes"})
    assert fetch_remote("memory://clips", tmp_path).paths == (tmp_path / "a.mp4",)
    assert (tmp_path / "a.mp4").read_bytes() == b"other bytes" and not list(tmp_path.rglob(".tmp-*"))


def test_what_was_brought_is_not_brought_again_when_the_local_copy_has_gone(bucket, tmp_path):
    bucket.pipe({"/clips/a.mp4": b"one"})
    fetch_remote("memory://clips", tmp_path)
    (tmp_path / "a.mp4").unlink()  # ingested, and its copy cleared away
    assert fetch_remote("memory://clips", tmp_path).paths == ()


def test_files_of_another_folder_by_url(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    (there / "a b%20.mp4").write_bytes(b"x")
    assert fetch_remote(f"file://{there}", here).paths == (here / "a b%20.mp4",)


def test_hostile_names_stay_inside_and_are_named(bucket, tmp_path):
    long = "ü" * 300 + ".mp4"
    bucket.store["/clips/../../evil.mp4"] = bucket.store["/clips/ok.mp4"] = None
    bucket.store.clear()
    bucket.pipe({"/clips/ok.mp4": b"1", f"/clips/{long}": b"2"})
    bucket.store["/clips/../evil.mp4"] = bucket.store["/clips/ok.mp4"]
    found = fetch_remote("memory://clips", tmp_path / "deep")
    assert found.refused == {"../evil.mp4": "its name leads out of the folder"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]
    (short,) = [path for path in found.paths if path.name != "ok.mp4"]
    assert len(short.name.encode()) <= 240 and short.suffix == ".mp4" and short.read_bytes() == b"2"


def test_an_object_that_cannot_be_read_does_not_stop_the_others(bucket, tmp_path, monkeypatch):
    bucket.pipe({"/clips/a.mp4": b"one", "/clips/b.mp4": b"two"})
    download = type(bucket).get_file

    def refuse(self, remote, local, **how):
        if remote.endswith("a.mp4"):
            raise PermissionError("Access Denied")
        return download(self, remote, local, **how)

    monkeypatch.setattr(type(bucket), "get_file", refuse)
    found = fetch_remote("memory://clips", tmp_path)
    assert found.paths == (tmp_path / "b.mp4",) and "Access Denied" in found.refused["a.mp4"]
    monkeypatch.undo()
    assert fetch_remote("memory://clips", tmp_path).paths == (tmp_path / "a.mp4",)


def test_addresses():
    assert (
        is_remote("s3://bucket/clips")
        and is_remote("memory://x")
        and not is_remote("/data/clips")
        and not is_remote("a:b")
    )
    assert local_name("s3://bucket/my clips/") != local_name("s3://other/my clips/") and " " not in local_name(
        "s3://b/my clips"
    )
    with pytest.raises(CurationError, match="no address that fsspec knows"):
        fetch_remote("nonsense://x/y", None)


def test_a_remote_inbox_becomes_shards(bucket, tmp_path, monkeypatch, puppet_bytes):
    bucket.pipe({"/clips/a.mp4": puppet_bytes(0), "/clips/a.mp4.json": json.dumps({"caption": "c"}).encode()})
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    assert bring_remote_clips(workspace) == 0
    monkeypatch.setenv("OMNIHUMAN_INBOX", "memory://clips")
    assert bring_remote_clips(workspace) == 2 and len(plan_new_shards(workspace)) == 1


def test_s3_without_its_package_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)  # an import of it fails
    for protocol in ("s3", "s3a"):
        monkeypatch.delitem(_registry, protocol, raising=False)
    with pytest.raises(CurationError, match=r"omnihuman-pipeline\[s3\]"):
        fetch_remote("s3://bucket/clips", tmp_path)
