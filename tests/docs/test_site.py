"""What the site's pages are filled in with is all that the code has, and a page that loads from elsewhere is refused."""

import importlib.util
from types import SimpleNamespace

import pytest

from tests.docs.test_links import PAGES, ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def fill_in():
    spec = importlib.util.spec_from_file_location("fill_in", DOCS / "fill_in.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def page(path: str) -> SimpleNamespace:
    return SimpleNamespace(file=SimpleNamespace(src_uri=path))


def test_every_mark_has_a_function_and_every_function_a_page(fill_in):
    marks = [mark for page in PAGES if page.is_relative_to(DOCS) for mark in fill_in.MARK.findall(page.read_text())]
    assert sorted(marks) == sorted(fill_in.FILLED)


def test_profile_keys_name_type_bounds_and_default(fill_in):
    text = "\n".join(fill_in.profile_keys())
    assert "| `steps` | `int`, > 0 | must be given |" in text
    assert "| `psi_max` | `float`, > 0 | `0.2` |" in text
    assert "| `hostfile` | `str or null` | null |" in text
    assert "- `psi_max`: population stability index" in text
    assert "## `curation.scores.lip_sync`" in text


def test_every_command_has_its_help(fill_in):
    text = "\n".join(fill_in.commands())
    assert "## `omnihuman generate`" in text and "--image" in text and "## `omnihuman votes serve`" in text


def test_score_columns_are_those_of_the_registry(fill_in):
    from curation.scores.registry import SCORES

    text = "\n".join(fill_in.score_columns())
    assert all(f"`{column}` (" in text for score in SCORES for column in score.columns)
    assert "| qalign | `qalign_quality` (float), `qalign_aesthetics` (float) | native | no |" in text


def test_public_names_are_asked_for(fill_in):
    text = "\n".join(fill_in.python())
    assert "::: omnihuman.OmniHumanPipeline" in text and "::: tracking.registry.champion_folder" in text


def test_a_link_out_of_the_site_becomes_a_name(fill_in):
    text = "[how](../../deploy/README.md) and [what](../reference/scores.md#captions)"
    assert (
        fill_in.on_page_markdown(text, page("guide/deployment.md"))
        == "`how` and [what](../reference/scores.md#captions)"
    )


def test_a_page_that_loads_from_elsewhere_is_refused(fill_in, tmp_path):
    (tmp_path / "index.html").write_text('<a href="https://example.org">told</a><script src="assets/own.js"></script>')
    fill_in.on_post_build({"site_dir": tmp_path})
    (tmp_path / "index.html").write_text('<script async src="https://example.org/x.js"></script>')
    with pytest.raises(fill_in.SiteError, match="loads from elsewhere"):
        fill_in.on_post_build({"site_dir": tmp_path})
