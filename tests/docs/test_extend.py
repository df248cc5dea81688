"""Each page of docs/extend is followed as it stands, in a copy of the project: its blocks written and applied, its commands run."""

import importlib
import multiprocessing
import os
import re
import runpy
import shlex
import shutil
import sys
import traceback
from pathlib import Path

import pytest

from tests.docs.test_links import ROOT, tracked

PAGES = sorted((ROOT / "docs" / "extend").glob("*.md"))
BLOCK = re.compile(r"^```(python|diff|yaml)?\n(.*?)^```", re.S | re.M)
NAMED = re.compile(r"# (\S+/\S+\.\w+)\n")


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    """Import torch, diffusers and Dagster once, before the forks that follow the pages."""
    for name in ("dagster", "omnihuman", "pandas"):
        importlib.import_module(name)


class PageError(AssertionError):
    """A page that cannot be followed."""


def copy_project(folder: Path) -> Path:
    """What is under version control, without its history; weights are linked."""
    for path in tracked(".py", ".toml", ".yaml", ".json", ".safetensors", ".jsonl", ".md", ".txt"):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            target.symlink_to(path)
        else:
            shutil.copyfile(path, target)
    return folder


def follow(page: Path, folder: Path) -> list[str]:
    """Do what a page says to files in `folder`; returns the commands that it says to run.

    Raises:
        PageError: a block whose lines do not stand once in the file that it names.
    """
    commands = []
    for kind, body in BLOCK.findall(page.read_text()):
        name = NAMED.match(body)
        if kind in ("", None):
            commands += [line.split("#")[0].strip() for line in body.splitlines() if line.strip()]
        elif name and kind == "diff":
            path = folder / name[1]
            path.write_text(applied(path.read_text(), body[name.end() :], name[1]))
        elif name:
            (folder / name[1]).write_text(body[name.end() :])
    return commands


def applied(text: str, diff: str, name: str) -> str:
    """The text with the lines of a diff exchanged: `-` and unmarked lines are looked for, `+` and unmarked take their place."""
    lines = diff.splitlines()
    before = "\n".join(line[1:] for line in lines if not line.startswith("+"))
    after = "\n".join(line[1:] for line in lines if not line.startswith("-"))
    count = ("\n" + text).count("\n" + before + "\n")
    if count != 1:
        raise PageError(f"{name} holds these lines {count} times, not once:\n{before}")
    return ("\n" + text).replace("\n" + before + "\n", "\n" + after + "\n")[1:]


def run(command: str, folder: Path) -> None:
    """`.venv/bin/python -m MODULE ARGUMENTS` of a page, with the copy's packages, in a fork of this process: what is not of the
    project (torch, pandas) is imported already, and stays so."""
    start, _, words = command.partition(".venv/bin/python -m ")
    assert not start, f"a page runs modules by .venv/bin/python -m: {command}"
    output = folder / "output.txt"
    child = multiprocessing.get_context("fork").Process(target=_run_in, args=(shlex.split(words), folder, output))
    child.start()
    child.join()
    assert child.exitcode == 0, f"{command}\n{output.read_text()[-5000:]}"


def _run_in(words: list[str], folder: Path, output: Path) -> None:
    with output.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.chdir(folder)
    os.environ.update(PYTHONPATH=str(folder), OMNIHUMAN_HOME=str(folder))
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        del os.environ[name]
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").is_file()}
    for name in [name for name in sys.modules if name.split(".")[0] in rooms]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(entry for entry in sys.path if Path(entry).resolve() != ROOT)]
    sys.argv = words
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
    code = 1
    try:
        if words[0] == "pytest":
            code = int(pytest.main([*words[1:], "-p", "no:cacheprovider", "-p", "no:xdist"]))
        else:
            runpy.run_module(words[0], run_name="__main__", alter_sys=True)
            code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_following_the_page_works(page, tmp_path):
    folder = copy_project(tmp_path / "project")
    commands = follow(page, folder)
    assert any("pytest" in command for command in commands)
    for command in commands:
        run(command, folder)


def test_a_page_whose_lines_are_gone_is_refused():
    assert applied("a\nb\nc\n", " a\n+x\n-b\n", "f") == "a\nx\nc\n"
    with pytest.raises(PageError, match="f holds these lines 0 times"):
        applied("a\n", " b\n+c\n", "f")
    with pytest.raises(PageError, match="2 times"):
        applied("a\nb\na\n", " a\n+c\n", "f")
