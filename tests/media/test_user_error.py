"""What a person can mend is told apart from faults of the program."""

import ast
import errno
from pathlib import Path

import pytest

from media import MediaError
from media.user_error import UserError, exit_code, is_mendable
from profiles import ProfileError

ROOT = Path(__file__).parents[2]
ROOMS = ("assets", "comfy_nodes", "curation", "evaluation", "media", "networks", "omnihuman", "orchestration", "profiles", "puppets", "serving", "tracking", "training")  # fmt: skip
# They steer a loop, a parser or what is tried again, and are no advice to a person.
SIGNALS = {"ClientGoneError", "EncoderLostError", "Stopped", "_Deleted", "_NotAllowed", "_Stopping"}


@pytest.mark.parametrize(
    "error",
    [
        UserError("give a number"),
        MediaError("broken", "a.mp4 is cut off"),
        FileNotFoundError(errno.ENOENT, "No such file", "a.mp4"),
        PermissionError("not yours"),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error", "a.mp4"),
    ],
)
def test_what_a_person_can_mend_is_one_line_and_code_1(error, capsys):
    assert is_mendable(error) and exit_code(error) == 1
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize(
    "error",
    [ValueError("planted"), KeyError("planted"), RuntimeError("planted"), OSError("planted"), ConnectionError()],
)
def test_a_fault_of_the_program_goes_on_as_it_is(error, capsys):
    assert not is_mendable(error)
    with pytest.raises(type(error)) as raised:
        exit_code(error)
    assert raised.value is error and capsys.readouterr().err == ""


def test_a_wrong_profile_has_a_code_of_its_own():
    assert exit_code(ProfileError("no profile")) == 2


def test_every_error_of_the_product_is_a_user_error_or_a_signal():
    bases: dict[str, list[str]] = {}
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
    python = {"Exception", "FileExistsError", "FileNotFoundError", "OSError", "RuntimeError", "ValueError"}
    mendable = {name for name, above in bases.items() if "UserError" in above}
    others = {name for name, above in bases.items() if set(above) & python} - mendable
    assert len(mendable) > 25 and others == SIGNALS | {"UserError"}
