"""A home that cannot be written, that has no git around it, or that was copied."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from assets.core.dvc_cache import cached_folders
from assets.core.dvc_repository import cache_elsewhere
from assets.core.dvc_stages import ensure_repository
from assets.core.home import HomeError, check_home, why_no_file
from assets.core.workspace import Workspace
from assets.past.dvc_remote import REMOTE_VARIABLE, name_remote
from media import write_atomically
from orchestration.doctor.machine_findings import disk, permissions, version_control
from profiles import load_profile

ROOT = Path(__file__).parents[2]
NOBODY = 65534


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    monkeypatch.delenv(REMOTE_VARIABLE, raising=False)
    return Workspace(tmp_path / "home", load_profile("laptop"))


@contextmanager
def unprivileged() -> Iterator[None]:
    """As a user whom permissions bind: root goes past them."""
    own = os.geteuid()
    if own == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(own)


def test_a_folder_without_the_right_to_write_is_named_with_the_reason():
    with tempfile.TemporaryDirectory() as name:  # pytest's own lie below a folder that only its user may enter
        folder = Path(name)
        folder.chmod(0o555)
        with unprivileged():
            assert why_no_file(folder) == f"{folder}: Permission denied"
            assert why_no_file(folder / "new" / "home") == f"{folder}: Permission denied"
            assert not permissions([folder, folder / "data"]).ok
        folder.chmod(0o755)
        assert why_no_file(folder / "new" / "home") == "" and list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["home", "home/var", "home/data"])
def test_a_file_in_the_way_is_refused_by_name_with_the_way_out(name, workspace):
    way = workspace.root.parent / name
    way.parent.mkdir(exist_ok=True)
    way.touch()
    with pytest.raises(HomeError, match=f"cannot be written: {way}: Not a directory; .*OMNIHUMAN_HOME"):
        check_home(workspace)
    found = permissions([workspace.root, workspace.root / "data", workspace.var])
    assert not found.ok and str(way) in found.message and "OMNIHUMAN_HOME" in found.message
    assert str(workspace.root.parent) in disk(workspace.root, workspace.profile).message, (
        "which is asked although there is no home yet"
    )


def unpacked(workspace: Workspace) -> Path:
    """What an archive of the project holds of DVC: its configuration, made under git."""
    (workspace.root / ".dvc").mkdir(parents=True)
    shutil.copy2(ROOT / ".dvc" / "config", workspace.root / ".dvc" / "config")
    shutil.copy2(ROOT / "dvc.yaml", workspace.root / "dvc.yaml")
    return workspace.root / ".dvc" / "config.local"


def test_an_unpacked_archive_works_without_git_also_for_dvc_typed_by_hand(workspace):
    from dvc.repo import Repo

    local = unpacked(workspace)
    write_atomically(local, b"[core]\n    check_update = false\n")
    ensure_repository(workspace)
    assert list(cached_folders(workspace)) == [] and Path(name_remote(workspace)) == workspace.var / "dvc_remote"
    with Repo(str(workspace.root)) as repo:
        assert repo.config["core"]["no_scm"] and repo.config["core"]["check_update"] is False
    found = version_control(workspace)
    assert found.ok and f"{workspace.root} is not under git" in found.message and str(ROOT) not in found.message


def test_under_git_the_configuration_stays_as_it_is(workspace):
    local = unpacked(workspace)
    (workspace.root.parent / ".git").mkdir()  # as git marks a working tree; DVC itself would want the rest of it
    from assets.core.dvc_repository import leave_git_out

    leave_git_out(workspace.root)
    assert not local.exists()


def copied(workspace: Workspace) -> Workspace:
    here = workspace.root.parent / "elsewhere"
    shutil.copytree(workspace.root, here)
    return Workspace(here, workspace.profile)


def test_the_default_remote_moves_with_the_home(workspace, capsys):
    ensure_repository(workspace)
    name_remote(workspace)
    assert "../var/dvc_remote" in (workspace.root / ".dvc" / "config.local").read_text()
    here = copied(workspace)
    assert Path(name_remote(here)) == here.var / "dvc_remote" and capsys.readouterr().err == ""


def test_an_older_home_that_was_copied_leaves_the_other_homes_remote(workspace, capsys):
    """Which its configuration names as a whole path."""
    ensure_repository(workspace)
    older = f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {workspace.var / 'dvc_remote'}\n"
    (workspace.root / ".dvc" / "config.local").write_text(older)
    assert Path(name_remote(workspace)) == workspace.var / "dvc_remote" and capsys.readouterr().err == ""
    here = copied(workspace)
    assert Path(name_remote(here)) == here.var / "dvc_remote"
    assert capsys.readouterr().err.startswith("note: this home was elsewhere") and not capsys.readouterr().err
    assert Path(name_remote(here)) == here.var / "dvc_remote" and capsys.readouterr().err == ""


def test_a_home_that_shares_anothers_cache_goes_on_with_its_remote(workspace):
    """As `restore --into` makes one."""
    ensure_repository(workspace)
    there = workspace.root.parent / "there"
    with (workspace.root / ".dvc" / "config").open("a") as config:
        config.write(f"['remote \"storage\"']\n    url = {there / 'var' / 'dvc_remote'}\n")
    text = (workspace.root / ".dvc" / "config").read_text()
    text = text.replace("[cache]", f"[cache]\n    dir = {there / 'cache'}", 1).replace(
        "[core]", "[core]\n    remote = storage", 1
    )
    (workspace.root / ".dvc" / "config").write_text(text)
    assert name_remote(workspace) == str(there / "var" / "dvc_remote")
    assert cache_elsewhere(workspace.root) == there / "cache"
