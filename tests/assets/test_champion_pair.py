"""Student and teacher change places together, and a move that was cut off is mended by the same command."""

import pytest

from assets.core.names import STUDENT, TEACHER
from assets.core.workspace import Workspace
from assets.kinds.registration.champion_pair import STANDING, promote_pair, roll_back_pair, stray_aliases
from evaluation.scoring.gate import Decision
from orchestration.past import promoting
from profiles import load_profile
from tracking import tracker as tracker_module
from tracking.registry import Registry, RegistryError
from tracking.tracker import Tracker
from tracking.version_origin import VersionOrigin

TEACHERS = {1: 1, 2: 3, 3: None, 4: 2}  # of each student


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Four students of three teachers, one of them registered before students said so, in a store of sqlite."""
    place = tmp_path_factory.mktemp("home")
    found = Registry(Tracker(f"sqlite:///{place}/var/mlflow.db"))
    model = place / "model"
    model.mkdir()
    (model / "weights.txt").write_text("w")
    for _ in range(3):
        found.register(TEACHER, model)
    for teacher in TEACHERS.values():
        found.register(STUDENT, model, origin=VersionOrigin(teacher_version=teacher))
    return found


@pytest.fixture(autouse=True)
def nobody_is_champion(registry):
    for name in (STUDENT, TEACHER):
        for alias in registry.aliases(name):
            registry.remove_alias(name, alias)
    for note in ("champion_move", STANDING):
        registry.set_note(STUDENT, note, None)


def standing(registry):
    """(champion, previous) of the student and of the teacher."""
    return tuple(
        tuple(registry.aliases(name).get(alias) for alias in ("champion", "previous")) for name in (STUDENT, TEACHER)
    )


def test_the_teacher_goes_where_its_student_goes(registry):
    promote_pair(registry, 1)
    assert standing(registry) == ((1, None), (1, None))
    move = promote_pair(registry, 2)
    assert (move.left, standing(registry)) == (1, ((2, 1), (3, 1)))
    promote_pair(registry, 2)
    assert standing(registry) == ((2, 1), (3, 1)), "a champion that is promoted again keeps the previous one"
    move = roll_back_pair(registry, "flicker")
    assert (move.left, standing(registry)) == (2, ((1, 2), (1, 3)))
    assert registry.version(STUDENT, 2).tags["rolled_back"] == "flicker"
    roll_back_pair(registry, "no, it was the browser")
    assert standing(registry) == ((2, 1), (3, 1))


def test_a_teacher_that_stood_wrong_is_put_right(registry):
    """As a version before this one left it: promoted by hand, only the student moved."""
    for alias, student in (("champion", 2), ("previous", 1)):
        registry.set_alias(STUDENT, alias, student)
    registry.set_alias(TEACHER, "champion", 1)
    promote_pair(registry, 4)
    assert standing(registry) == ((4, 2), (2, 3))


def test_a_student_that_names_no_teacher_leaves_the_alias_standing_nowhere(registry):
    promote_pair(registry, 1)
    promote_pair(registry, 3)
    assert standing(registry) == ((3, 1), (None, 1))
    promote_pair(registry, 2)
    assert standing(registry) == ((2, 3), (3, None))


def test_nothing_moves_to_a_student_that_is_not_there(registry):
    promote_pair(registry, 1)
    with pytest.raises(RegistryError, match="no version 9"):
        promote_pair(registry, 9)
    assert standing(registry) == ((1, None), (1, None)) and registry.note(STUDENT, "champion_move") is None
    with pytest.raises(RegistryError, match="no previous champion"):
        roll_back_pair(registry, "none")


class Cut(Exception):
    """The process dies."""


class Dying:
    """A client that dies before its next change once `changes` of them were made."""

    def __init__(self, client, changes):
        self._client, self._changes = client, changes

    def __getattr__(self, name):
        if name.startswith(("set_", "delete_")):
            if not self._changes:
                raise Cut(name)
            self._changes -= 1
        return getattr(self._client, name)


def cut_off(registry, changes, command, *arguments):
    """Run a command that dies after so many changes; returns whether it did."""
    tracker = Tracker(registry.tracker.uri)
    tracker.client = Dying(registry.tracker.client, changes)
    try:
        command(Registry(tracker), *arguments)
    except Cut:
        return True
    return False


@pytest.mark.parametrize("changes", range(7))
def test_a_promotion_that_was_cut_off_anywhere_is_mended_by_another(registry, changes):
    promote_pair(registry, 1)
    promote_pair(registry, 4)
    assert cut_off(registry, changes, promote_pair, 2)
    promote_pair(registry, 2)
    assert standing(registry) == ((2, 4), (3, 2)) and registry.note(STUDENT, "champion_move") is None


@pytest.mark.parametrize("changes", range(8))
def test_a_rollback_that_was_cut_off_anywhere_is_mended_and_not_turned_round_by_another(registry, changes):
    promote_pair(registry, 1)
    promote_pair(registry, 2)
    assert cut_off(registry, changes, roll_back_pair, "flicker")
    move = roll_back_pair(registry, "flicker")
    assert (move.left, standing(registry)) == (2, ((1, 2), (1, 3)))
    assert registry.version(STUDENT, 2).tags["rolled_back"] == "flicker"


def test_the_last_change_is_the_eighth_of_a_rollback(registry):
    promote_pair(registry, 1)
    promote_pair(registry, 2)
    assert not cut_off(registry, 8, roll_back_pair, "flicker"), "so the cuts above are all there are"


def test_the_commands_move_the_pair_and_open_one_client(registry, tmp_path, monkeypatch):
    """The gate itself is passed over: tests/orchestration/test_promoting.py has it."""
    connected = []
    connect = tracker_module.connect
    monkeypatch.setattr(tracker_module, "connect", lambda uri: connected.append(uri) or connect(uri))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracker.uri)
    monkeypatch.setattr(promoting, "judge_version", lambda *_: (None, Decision(True, [], [])))
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    promoting.promote_version(workspace, 1)
    assert promoting.promote_version(workspace, 2) == [
        "omnihuman-student@champion is version 2, was 1", "omnihuman-teacher@champion is version 3",
    ]  # fmt: skip
    assert standing(registry) == ((2, 1), (3, 1))
    assert promoting.roll_back(workspace, "flicker") == [
        "omnihuman-student@champion is version 1, was 2", "omnihuman-teacher@champion is version 1",
    ]  # fmt: skip
    assert standing(registry) == ((1, 2), (1, 3)) and connected == [registry.tracker.uri]


def test_an_alias_that_was_moved_past_the_gate_is_found(registry):
    registry.set_alias(STUDENT, "champion", 4)
    assert stray_aliases(registry) == [], "a home whose champion was never moved by this code says nothing"
    promote_pair(registry, 1)
    promote_pair(registry, 2)
    roll_back_pair(registry, "flicker")
    assert stray_aliases(registry) == []
    registry.set_alias(STUDENT, "champion", 2)
    registry.remove_alias(TEACHER, "previous")
    found = stray_aliases(registry)
    assert [(a.model, a.alias, a.left_at, a.stands_at) for a in found] == [
        (STUDENT, "champion", 1, 2),
        (TEACHER, "previous", 3, None),
    ]
    promote_pair(registry, 2)
    assert stray_aliases(registry) == []
