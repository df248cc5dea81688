"""Pages come out of templates that are installed with their rooms, load nothing, and show no value as markup."""

import fnmatch
import re
import tomllib
from pathlib import Path

import jinja2
import pytest

from media.pages import Section, render, write_page

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted(
    path.relative_to(ROOT)
    for path in ROOT.glob("[a-z]*/**/templates/*.html")
    if path.parts[len(ROOT.parts)] != "deploy"
)


def test_every_template_is_installed_with_its_room():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    for path in TEMPLATES:
        room = ".".join(path.parts[:-2])
        assert any(fnmatch.fnmatch(f"templates/{path.name}", pattern) for pattern in data[room]), path
    assert len(TEMPLATES) >= 6


@pytest.mark.parametrize("path", TEMPLATES, ids=str)
def test_a_template_loads_nothing_from_elsewhere(path):
    text = (ROOT / path).read_text()
    assert not re.search(r'(?:src|href)="(?!#|/|data:|\{\{)|@import|url\(|<link', text)


def test_a_value_that_the_page_needs_is_not_left_out_in_silence():
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render("media", "sections.html", sections=[])


def test_numbers_stand_right_and_markup_is_text(tmp_path):
    rows = [{"<u>": "<b>", "share": 0.123456, "clips": 7, "kept": True}]
    page = write_page(tmp_path / "p.html", "a & b", [Section("<i>", rows=rows)]).read_text()
    assert '<td>&lt;b&gt;</td><td class="number">0.1235</td><td class="number">7</td><td>True</td>' in page
    assert "<title>a &amp; b</title>" in page and '<h2 id="s0">&lt;i&gt;</h2>' in page and page.endswith("</html>\n")


def test_a_picture_without_its_caption_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="zip"):
        write_page(tmp_path / "p.html", "t", [Section("s", pictures=[b"1", b"2"], captions=["one"])])
