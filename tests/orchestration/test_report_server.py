"""The reports' server: pages and a list of them, and nothing from beside the folder."""

import io
import os

import pytest
from PIL import Image
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from media.pages import Section, write_page
from orchestration.beside_dagster import BesideDagster
from orchestration.report_index import PER_PAGE, ReportIndex
from orchestration.report_pages import build_app


@pytest.fixture
def client(tmp_path):
    folder = tmp_path / "reports"
    (folder / "raw_clips").mkdir(parents=True)
    (folder / "raw_clips" / "s-1.html").write_text("<h1>one</h1>")
    (folder / "raw_clips" / "<b>.html").write_text("two")
    os.utime(folder / "raw_clips" / "s-1.html", (2e9, 2e9))
    (tmp_path / "secret.html").write_text("secret")
    (folder / "out.html").symlink_to(tmp_path / "secret.html")
    os.utime(folder / "raw_clips" / "<b>.html", (1e9, 1e9))
    client = TestClient(build_app(folder), base_url="http://127.0.0.1")
    client.app_folder = folder  # type: ignore[attr-defined]
    return client


def test_pages_are_served_and_listed_newest_first(client):
    assert client.get("/raw_clips/s-1.html").text == "<h1>one</h1>"
    assert client.get("/raw_clips/s-1.html").headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in client.get("/raw_clips/s-1.html").headers["content-security-policy"]
    listed = client.get("/").text
    assert (
        listed.index("<b>raw_clips/s-1</b>") < listed.index("<b>raw_clips/&lt;b&gt;</b>") and "<b>.html" not in listed
    )
    assert 'href="raw_clips/%3Cb%3E.html"' in listed and client.get("/raw_clips/%3Cb%3E.html").text == "two"
    assert "out" not in [report.name for report in ReportIndex(client.app_folder).reports()]


def test_a_page_is_listed_with_date_counts_and_a_small_picture(client):
    sections = [Section("s", pictures=[png()])]
    write_page(client.app_folder / "filtered_subsets" / "s-9.html", "nine <clips>", sections, {"clips": 9, "pose": 4})
    os.utime(client.app_folder / "filtered_subsets" / "s-9.html", (1.6e9, 1.6e9))
    listed = client.get("/?asset=filtered_subsets").text
    assert "nine &lt;clips&gt;" in listed and "clips 9 · pose 4" in listed and "2020-09-1" in listed
    assert 'src="filtered_subsets/s-9.summary.webp"' in listed and "raw_clips/s-1.html" not in listed
    small = client.get("/filtered_subsets/s-9.summary.webp")
    assert small.headers["content-type"] == "image/webp" and len(small.content) < 2000


def test_many_reports_are_shown_a_page_at_a_time_and_found_by_name(client):
    for number in range(2 * PER_PAGE):
        (client.app_folder / "raw_clips" / f"s-many-{number:03}.html").write_text("")
    first, last = client.get("/?find=MANY").text, client.get("/?find=many&page=2").text
    assert first.count("<b>raw_clips") == last.count("<b>raw_clips") == PER_PAGE and "page 1 of 2" in first
    assert 'href="?find=MANY&amp;page=2"' in first and ">newer<" in last and ">older<" not in last
    assert client.get("/?find=s-many-007").text.count("<b>raw_clips") == 1
    assert client.get("/?page=99999999999").status_code == client.get("/?page=x").status_code == 200


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (900, 120), (30, 90, 160)).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "path", ["/out.html", "/../secret.html", "/%2e%2e/secret.html", "/..%2fsecret.html", "/raw_clips/s-2.html"]
)
def test_nothing_outside_the_folder_is_served(client, path):
    assert client.get(path).status_code == 404


def test_a_script_or_a_form_in_a_report_finds_nothing_to_do(client):
    """Reports share Dagster's address: what a caption brought in would ask it as its own page."""
    for path, forms in (("/raw_clips/s-1.html", "'none'"), ("/", "'self'")):
        said = client.get(path).headers["content-security-policy"].split("; ")
        policy = {name: values for name, *values in map(str.split, said)}
        assert policy["default-src"] == ["'none'"] and not {"script-src", "connect-src", "frame-src"} & policy.keys()
        assert policy["form-action"] == [forms] and policy["base-uri"] == policy["frame-ancestors"] == ["'none'"]


def test_an_empty_home_says_that_there_are_none(tmp_path):
    assert "none yet" in TestClient(build_app(tmp_path / "new"), base_url="http://localhost").get("/").text


def test_dagsters_address_shows_the_reports_and_the_way_to_mlflow(client, monkeypatch):
    async def dagster(scope, receive, send):
        await PlainTextResponse(f"Dagster {scope['path']}")(scope, receive, send)

    beside = TestClient(BesideDagster(dagster, client.app_folder), base_url="http://127.0.0.1")
    assert beside.get("/reports/raw_clips/s-1.html").text == "<h1>one</h1>" and "s-1" in beside.get("/reports").text
    assert [beside.get(path).text for path in ("/", "/assets/reports")] == ["Dagster /", "Dagster /assets/reports"]
    assert beside.get("/reports/../secret.html").text == "Dagster /secret.html"
    for pages in ("http://127.0.0.1:5011", "https://mlflow.example"):
        monkeypatch.setenv("OMNIHUMAN_MLFLOW_PAGES", pages)
        sent = beside.get("/mlflow/", follow_redirects=False)
        assert (sent.status_code, sent.headers["location"]) == (307, f"{pages}/"), "today's address, not one of then"
