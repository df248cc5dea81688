"""A person's mistake is one line at the command line; a fault of the program shows where it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.commands import cli

ROOT = Path(__file__).parents[2]
PLANTED = """
import sys
from orchestration.commands import cli
def planted() -> None:
    {}["nowhere"]
cli.app.command("planted")(planted)
sys.argv = ["omnihuman", "planted"]
cli.main()
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    for name, value in {"HOME": str(tmp_path), "SET": "", "PROFILE": "laptop"}.items():
        monkeypatch.setenv(f"OMNIHUMAN_{name}", value)
    return tmp_path


def refused(arguments: list[str], monkeypatch, capsys) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["omnihuman", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    return ended.value.code, said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["start", "--profile", "nowhere"], 2, "no profile 'nowhere'; shipped profiles are"),
        (["start", "--set", "stage_1.steps"], 2, "is not of the form key.path=value"),
        (["start", "--set", "name.steps=1"], 2, "name holds 'laptop', which has no keys"),
        (["start", "--set", "stage_1.steps=[1"], 2, "is no YAML"),
        (["start", "nowhere"], 1, "training begins from scratch or champion, not from 'nowhere'"),
        (["ingest", "/nowhere"], 1, "/nowhere"),
        (["subsets", "explain", "0123456789abcdef"], 1, "no scored clip 0123456789abcdef"),
        (["subsets", "count", "--set", "curation.text=motion >= 1"], 1, "no shard is scored yet"),
        (["compare"], 1, "run `omnihuman demo` first"),
        (["compare", "--baseline", "ours=there"], 1, "make it with `python -m assets benchmark_sets`"),
        (["votes", "table"], 1, "no votes in"),
    ],
)
def test_a_mistake_is_one_line_and_its_code(arguments, code, message, monkeypatch, capsys):
    given, said = refused(arguments, monkeypatch, capsys)
    assert given == code and message in said


@pytest.mark.parametrize(
    ("name", "text", "arguments"),
    [("start.json", '{"from": ', ["start"]), ("tombstones.jsonl", "no withdrawal", ["withdraw", "x", "--dry-run"])],
)
def test_a_file_that_a_person_spoilt_is_named(name, text, arguments, home, monkeypatch, capsys):
    (home / name).write_text(text)
    code, said = refused(arguments, monkeypatch, capsys)
    assert code == 1 and (name in said or "no clip" in said)


@pytest.mark.parametrize("text", ["- a list", "key: [", "\xff"])
def test_a_file_that_is_no_profile_is_named(text, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.yaml").write_text(text, "latin-1")
    code, said = refused(["start", "--profile", str(tmp_path / "mine.yaml")], monkeypatch, capsys)
    assert code == 2 and "mine.yaml" in said


def test_a_planted_bug_shows_its_traceback():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PLANTED], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr and "KeyError: 'nowhere'" in done.stderr
    assert "in planted" in done.stderr and "error: " not in done.stderr
