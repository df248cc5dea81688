"""What is written is its owner's alone, or his group's where that is chosen, and doctor names what is open."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from assets.core.workspace import Workspace
from media.access import AccessError, keep_private
from media.files import whole_directory, write_atomically
from orchestration.doctor.access_findings import access
from profiles import load_profile

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _as_most_shells(monkeypatch):
    monkeypatch.delenv("OMNIHUMAN_ACCESS", raising=False)
    os.umask(0o022)  # put back by conftest.py


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def written(folder: Path) -> list[int]:
    """Permissions of a folder, a file and a whole folder with a file in it, as the project writes them."""
    write_atomically(folder / "new" / "file", b"")
    with whole_directory(folder / "whole") as place:
        (place / "inside").write_text("")
    return [mode(folder / name) for name in ("new", "new/file", "whole", "whole/inside")]


def test_files_and_folders_are_their_owners_or_the_groups_or_as_the_shell_says(tmp_path, monkeypatch):
    assert written(tmp_path / "shell") == [0o755, 0o644, 0o755, 0o644]
    keep_private()
    assert written(tmp_path / "owner") == [0o700, 0o600, 0o700, 0o600]
    monkeypatch.setenv("OMNIHUMAN_ACCESS", "group")
    keep_private()
    assert written(tmp_path / "group") == [0o770, 0o660, 0o770, 0o660]
    monkeypatch.setenv("OMNIHUMAN_ACCESS", "all")
    with pytest.raises(AccessError, match="OMNIHUMAN_ACCESS is 'all'; set it to owner or group"):
        keep_private()


def test_a_command_that_writes_a_home_leaves_nothing_for_others_to_read(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "clip.mp4").write_bytes(b"a clip")
    home = tmp_path / "home"
    variables = {"OMNIHUMAN_HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "orchestration.commands.cli", "ingest", str(tmp_path / "mine")]
    subprocess.run(command, check=True, env=os.environ | variables, umask=0o022, capture_output=True)
    (clip,) = home.glob("inbox/**/*.mp4")
    assert clip.read_bytes() == b"a clip" and mode(home / "inbox") == 0o700


def test_doctor_names_what_others_can_read_and_how_to_close_it(tmp_path, monkeypatch):
    home = tmp_path / "home"
    workspace = Workspace(home, load_profile("laptop", []))
    for folder in ("inbox", "data", "var", ".dvc/cache"):
        (home / folder).mkdir(parents=True)
        (home / folder).chmod(0o700)
    keys = home / ".dvc" / "config.local"
    keys.write_text("")
    keys.chmod(0o600)
    monkeypatch.setattr(
        "orchestration.doctor.access_findings._enters", lambda folder, bit: _enters_here(folder, bit, tmp_path)
    )
    assert access(workspace).ok
    keys.chmod(0o640)
    workspace.inbox.chmod(0o755)
    found = access(workspace)
    assert not found.ok and f"{workspace.inbox} to the group and everybody" in found.message
    assert f"{keys} to the group;" in found.message and "chmod -R go-rwx" in found.message
    monkeypatch.setenv("OMNIHUMAN_ACCESS", "group")
    found = access(workspace)
    assert f"{workspace.inbox} to everybody;" in found.message and str(keys) not in found.message
    home.chmod(0o700)  # whoever cannot enter the home reads nothing in it
    assert access(workspace).ok
    monkeypatch.setenv("OMNIHUMAN_ACCESS", "all")
    assert "set it to owner or group" in access(workspace).message


def _enters_here(folder: Path, bit: int, root: Path) -> bool:
    """As it is, but pytest's own folders above are closed to others."""
    return not folder.is_relative_to(root) or folder == root or bool(folder.stat().st_mode & bit)
