"""Versions and aliases that people delete on MLflow's page: what is made again, what is said, and that it leads out."""

import json
import shutil
from pathlib import Path

import pytest

from assets.core.catalogue import STEPS
from assets.core.names import STUDENT, TEACHER
from assets.core.versions import content_version, fingerprint
from assets.core.workspace import Workspace
from assets.kinds.registration.champion_pair import NOTE, promote_pair
from assets.kinds.registration.registered_versions import where_champion_stands
from assets.make.execute import is_current
from media import write_atomically
from orchestration.doctor.store_findings import store_findings
from profiles import load_profile
from tracking.registry import RegistryError
from tracking.version_origin import VersionOrigin


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Workspace:
    """Two pairs in the registry, the second of them promoted; what the assets left of it, on record."""
    workspace = Workspace(tmp_path_factory.mktemp("made"), load_profile("laptop"))
    for number in (1, 2):
        register(workspace, workspace.root / f"model {number}")
        promote_pair(workspace.registry, number)
    keep(workspace, "registered_model", {name: {"version": 2} for name in (STUDENT, TEACHER)})
    keep(workspace, "promoted_champion", {"champion": 2, "promote": True})
    return workspace


@pytest.fixture
def workspace(made, tmp_path, monkeypatch) -> Workspace:
    """A copy of that home, which works on its own registry."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(made.root, tmp_path / "home")
    return Workspace(tmp_path / "home", made.profile)


def register(workspace: Workspace, folder: Path) -> None:
    folder.mkdir()
    (folder / "weights").write_text(folder.name)
    teacher = workspace.registry.register(TEACHER, folder)
    workspace.registry.register(STUDENT, folder, origin=VersionOrigin(teacher_version=teacher.version))


def keep(workspace: Workspace, asset: str, product: dict) -> None:
    """As the asset leaves it, with its record."""
    step = STEPS[asset]
    write_atomically(workspace.data(asset) / step.marker, json.dumps(product).encode())
    version = content_version(workspace, step, None)
    record = {"fingerprint": fingerprint(workspace, step, None, STEPS), "data_version": version}
    write_atomically(workspace.record(asset), json.dumps(record).encode())


def current(workspace: Workspace) -> list[str]:
    return [name for name in ("registered_model", "promoted_champion") if is_current(workspace, STEPS[name])]


def found(workspace: Workspace) -> tuple[bool, str]:
    """What doctor says of the champion, which is what a demo says at its end."""
    (finding,) = [finding for finding in store_findings(workspace) if finding.name == "champion"]
    return finding.ok, finding.message


def test_what_stands_is_current_and_said(workspace):
    assert current(workspace) == ["registered_model", "promoted_champion"]
    assert found(workspace) == (True, f"models:/{STUDENT}@champion is version 2") == where_champion_stands(workspace)


def test_a_champion_that_was_deleted_is_registered_anew_and_each_message_leads_there(workspace):
    workspace.tracker.client.delete_model_version(STUDENT, "2")
    assert current(workspace) == [], "a demo makes both again"
    ok, line = found(workspace)
    assert (
        not ok
        and line.startswith(f"{STUDENT} version 2 ")
        and line.endswith("`omnihuman demo` registers the weights anew")
    )
    with pytest.raises(
        RegistryError, match=r"no version 2 .*`make demo` registers .*there are \(1\) `omnihuman promote VERSION`"
    ):
        promote_pair(workspace.registry, 2)
    promote_pair(workspace.registry, 1)
    assert found(workspace)[0] is False, "registered_model names what is gone"


def test_an_alias_that_was_taken_away_is_not_given_back_unasked(workspace):
    workspace.registry.remove_alias(STUDENT, "champion")
    assert current(workspace) == ["registered_model", "promoted_champion"]
    ok, line = found(workspace)
    assert not ok and line == "alias champion was taken from version 2; `omnihuman promote 2` gives it back"
    promote_pair(workspace.registry, 2)
    assert found(workspace)[0]


def test_a_champion_that_people_chose_is_said(workspace):
    promote_pair(workspace.registry, 1)
    assert found(workspace) == (
        True,
        f"models:/{STUDENT}@champion is version 1 (by hand; the last decision left it at 2)",
    )


def test_the_gate_is_asked_again_when_an_older_champion_was_deleted(workspace):
    promote_pair(workspace.registry, 1)
    keep(workspace, "promoted_champion", {"champion": 1, "promote": False})
    workspace.tracker.client.delete_model_version(STUDENT, "1")
    assert current(workspace) == ["registered_model"]
    assert found(workspace) == (False, "version 1 was champion and is gone; `omnihuman demo` asks the gate again")


def test_files_of_the_champion_that_are_gone_are_found(workspace):
    shutil.rmtree(workspace.registry.folder(STUDENT, 2))
    ok, line = found(workspace)
    assert not ok and "the files of version 2" in line and "\n" not in line


def test_in_a_home_without_a_registry_nothing_was_deleted_and_no_champion_is_claimed(workspace, monkeypatch, tmp_path):
    """As a fresh clone with data that DVC brought."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'nowhere.db'}")
    clone = Workspace(workspace.root, workspace.profile)
    assert current(clone) == ["registered_model", "promoted_champion"]
    ok, line = found(clone)
    assert not ok and "MLFLOW_TRACKING_URI" in line and not (tmp_path / "nowhere.db").exists()


def test_a_move_to_a_version_that_was_deleted_since_keeps_nobody_from_promoting(workspace):
    """A promotion was cut off, and then its version was deleted: the note of the move leads nowhere."""
    move = {"champion": 3, "previous": 2, "teacher": 3, "previous_teacher": 2, "left": 2, "back": False}
    workspace.registry.set_note(STUDENT, NOTE, json.dumps(move))
    assert promote_pair(workspace.registry, 1).champion == 1
    assert workspace.registry.aliases(STUDENT) == {"champion": 1, "previous": 2}
