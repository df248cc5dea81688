"""The reports' server: pages and a list of them, and nothing from beside the folder."""

import os

import pytest
from starlette.testclient import TestClient

from orchestration.report_server import build_app


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
    return TestClient(build_app(folder), base_url="http://127.0.0.1")


def test_pages_are_served_and_listed_newest_first(client):
    assert client.get("/raw_clips/s-1.html").text == "<h1>one</h1>"
    assert client.get("/raw_clips/s-1.html").headers["content-type"].startswith("text/html")
    listed = client.get("/").text
    assert listed.index("raw_clips/s-1.html") < listed.index("raw_clips/&lt;b&gt;<") and "<b>" not in listed
    assert 'href="/raw_clips/%3Cb%3E.html"' in listed and client.get("/raw_clips/%3Cb%3E.html").text == "two"


@pytest.mark.parametrize(
    "path", ["/out.html", "/../secret.html", "/%2e%2e/secret.html", "/..%2fsecret.html", "/raw_clips/s-2.html"]
)
def test_nothing_outside_the_folder_is_served(client, path):
    assert client.get(path).status_code == 404


def test_an_empty_home_says_that_there_are_none(tmp_path):
    assert "none yet" in TestClient(build_app(tmp_path / "new"), base_url="http://localhost").get("/").text
