"""Every link, path, module and command that a page or a comment names is there."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = {".md", ".py", ".toml", ".yaml", ".yml", ".txt", ".sh"}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
DOCUMENT = re.compile(r"\bdocs/[\w./-]+\.(?:md|png|gif|mp4)")
CODE_PATH = re.compile(r"`((?:[\w-]+/)+[\w.-]+\.(?:py|md|yaml|json|toml|model))\b[^`]*`")
PICKED = re.compile(r"`((?:tests/[\w/]+/)?test_\w+\.py)` (\w+(?:, \w+)*)")
MODULE = re.compile(r"python -m ((?:assets|benchmarks|orchestration|training|curation)[\w.]*)")


def tracked(*suffixes: str) -> list[Path]:
    """Files under version control, and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    paths = [ROOT / name for name in listed if name]
    return [path for path in paths if path.suffix in suffixes and path.is_file()]


PAGES = tracked(".md")


def prose(page: Path) -> str:
    """A page without its blocks of code and its comments."""
    return re.sub(r"^ *```.*?^ *```|<!--.*?-->", "", page.read_text(), flags=re.S | re.M)


def anchors(page: Path) -> set[str]:
    """The headings' names, as a site and a listing of the repository both make them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), flags=re.M):
        words = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
        found.add(re.sub(r"[-\s]+", "-", words))
    return found


def dead_links(page: Path) -> Iterator[str]:
    for target in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        if not place.exists():
            yield f"{target} is not there"
        elif anchor and anchor not in anchors(place):
            yield f"{target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    assert list(dead_links(page)) == []


def test_a_dead_link_and_a_dead_heading_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# What it is, and why\n[a](#what-it-is-and-why) [b](#why) [c](other.md) [d](https://nowhere.invalid)\n"
    )
    assert list(dead_links(page)) == ["#why: no such heading", "other.md is not there"]


def test_documents_that_code_and_comments_name_are_there():
    missing = {
        (str(path.relative_to(ROOT)), named)
        for path in tracked(*TEXT)
        for named in DOCUMENT.findall(path.read_text())
        if not (ROOT / named).is_file()
    }
    assert missing == set()


def product_path(named: str) -> bool:
    """Whether a path in backticks is one of the project, and not one of a workspace or of somebody's weights."""
    return (ROOT / named.split("/")[0]).is_dir() and not named.startswith(("data/", "var/", "votes/", "snapshots/"))


def test_files_that_pages_name_are_there():
    missing = {
        (str(page.relative_to(ROOT)), named)
        for page in PAGES
        if page.name != "CHANGELOG.md" and "extend" not in page.parts
        for named in CODE_PATH.findall(page.read_text())
        if product_path(named) and not (ROOT / named).exists()
    }
    assert missing == set()


def test_tests_that_tables_of_faults_and_probes_name_are_there():
    """`tests/FILE.py` WORD, WORD: each word picks at least one test of the file, as `pytest -k` would."""
    missing, found = set(), 0
    for page in ("reference/abuse-probes.md", "guide/when-something-breaks.md"):
        for named, words in PICKED.findall((ROOT / "docs" / page).read_text()):
            (path,) = [ROOT / named] if "/" in named else (ROOT / "tests").rglob(named)
            names = re.findall(r"^def (test_\w+)", path.read_text(), flags=re.M)
            for word in words.split(", "):
                found += 1
                if not any(word in name for name in names):
                    missing.add((page, named, word))
    assert missing == set() and found > 40


def test_modules_that_pages_start_are_there():
    missing = {
        (str(path.relative_to(ROOT)), module)
        for path in tracked(".md", ".py")
        for module in MODULE.findall(path.read_text())
        if not module_file(module.rstrip("."))
    }
    assert missing == set()


def module_file(module: str) -> bool:
    place = ROOT.joinpath(*module.split("."))
    return place.with_suffix(".py").is_file() or (place / "__main__.py").is_file()


def test_commands_that_pages_name_exist():
    import typer.main

    from orchestration.commands.cli import app

    command = typer.main.get_command(app)
    names = set(command.commands)  # type: ignore[attr-defined]
    called = re.compile(r"(?<!from )\bomnihuman ([a-z][a-z-]+)")
    named = {
        (str(page.relative_to(ROOT)), name)
        for page in PAGES
        for block in re.findall(r"```.*?```|`[^`\n]+`", page.read_text(), flags=re.S)
        for name in called.findall(block)
    }
    assert {(page, name) for page, name in named if name not in names} == set()
    assert len(named) > 20


def test_the_pictures_are_small_together():
    pictures = [path for path in (ROOT / "docs" / "pictures").glob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in pictures) <= 400 * 1024
