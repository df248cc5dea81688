"""What a new user meets in a browser after `make demo`: the page, Dagster's groups and an asset, reports, MLflow's experiments and a version.

`OMNIHUMAN_SCREENSHOTS=FOLDER` keeps what was seen; `python -m tests.orchestration.first_hour HOME FOLDER` walks through any finished home and
makes the pictures of docs/pictures/first-hour.
"""

import argparse
import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.forked import ServerOnDemand
from tests.orchestration.serving import browser_page, started

LOADED = "picture => picture.complete && picture.naturalWidth"
WIDTH, HEIGHT = 1440, 900
SHOTS = (
    "dagster-groups", "dagster-clips", "dagster-training", "reports", "evaluation", "mlflow-experiments", "mlflow-version",
)  # fmt: skip
Look = Callable[[str], None]


@contextmanager
def pages_of(home: Path) -> Iterator[dict[str, str]]:
    """Addresses of `omnihuman ui`, once all answer."""
    ports = ("--dagster-port", "3931", "--mlflow-port", "5931", "--reports-port", "4931")
    with started(home, "ui", *ports) as (process, address):
        assert process.stdout is not None
        addresses = {"Dagster": address}
        for words in map(str.split, process.stdout):
            if words[0] in ("MLflow", "reports") and words[1].startswith("http://"):
                addresses[words[0]] = words[1]
            if words[:2] == ["the", "champion"]:
                addresses["champion"] = words[2]
            if words[:2] == ["logs", "in"]:
                break
        yield addresses


def walk(window: Any, served: dict[str, str], look: Look) -> None:
    """From page to page as the README leads; what is there is looked at, not what might be."""
    dagster_pages(window, served, look)
    report_pages(window, served["reports"], look)
    mlflow_pages(window, served["MLflow"], served["champion"], look)


def dagster_pages(window: Any, served: dict[str, str], look: Look) -> None:
    """Groups; an asset of clips and one of training, each open with its picture, and links that lead on, without a click on "show"."""
    dagster = served["Dagster"]
    window.goto(f"{dagster}/asset-groups")
    for group in ("curation", "training", "distillation", "evaluation", "promotion"):
        window.get_by_text(group, exact=True).first.wait_for()
    look("dagster-groups")
    for asset, name in (("raw_clips", "dagster-clips"), ("stage_3_checkpoint", "dagster-training")):
        window.goto(f"{dagster}/assets/{asset}")
        cover = window.locator(f"img[src='/reports/covers/{asset}.png']").first
        cover.wait_for()
        assert cover.evaluate(LOADED) > 200 and cover.bounding_box()["y"] < HEIGHT, "its picture is there as it opens"
        look(name)
        small = window.locator(f"img[src^='/reports/{asset}/']").first
        small.scroll_into_view_if_needed()
        assert small.evaluate(LOADED) > 200, "and among its values"
    run = window.locator("a[href^='/mlflow/#/runs/']").first.get_attribute("href")
    window.goto(dagster + run)
    window.wait_for_url(f"{served['MLflow']}/#/runs/**")
    window.goto(f"{dagster}/assets/clip_scores")
    window.get_by_text("first 16 hex digits of the clip's sha256").first.wait_for()
    report = window.locator("a[href^='/reports/clip_scores/'][href$='.html']").first.get_attribute("href")
    window.goto(dagster + report)
    window.get_by_role("heading", name="clip_scores, shard").wait_for()


def report_pages(window: Any, reports: str, look: Look) -> None:
    """The list with small pictures, and the evaluation, which opens with pictures and numbers."""
    window.goto(reports)
    window.get_by_text("Dataset card").first.wait_for()
    assert window.locator(".cards img").count() >= 5
    # Reports run no script, so the browser's own way of waiting for one is closed.
    shown = "[...document.querySelectorAll('.cards img')].slice(0, 5).every(i => i.naturalWidth > 50)"
    for _ in range(600):
        if window.evaluate(shown):
            break
        window.wait_for_timeout(100)
    assert window.evaluate(shown), "small pictures"
    look("reports")
    window.get_by_text("Evaluation of").first.click()
    window.get_by_role("heading", name="At a glance").wait_for()
    window.wait_for_load_state()  # its first heading is there before all of its three megabytes are
    assert 7 <= window.locator(".numbers b").count() <= 10, "those that could be measured"
    assert window.locator("details").count() >= 5 and not window.locator("details[open]").count(), "the rest is folded"
    look("evaluation")
    window.locator("nav").get_by_text("Slices").click()
    window.locator("details[open]").wait_for()


def mlflow_pages(window: Any, mlflow: str, champion: str, look: Look) -> None:
    """Opens at the experiments, which say what they are; a version's samples fit its page."""
    window.goto(mlflow)
    window.wait_for_url("**/#/experiments")
    window.get_by_text("evaluation", exact=True).first.wait_for()
    assert not window.get_by_text("Default", exact=True).count() and not window.get_by_text("UI telemetry").count()
    window.get_by_text("One run for each training").first.wait_for()
    look("mlflow-experiments")
    window.goto(champion)
    sheet = window.locator("img[src*='get-artifact']").first
    sheet.wait_for()
    window.wait_for_function("document.querySelector(\"img[src*='get-artifact']\").naturalWidth > 300")
    place = sheet.bounding_box()
    assert place["x"] + place["width"] <= WIDTH, "nothing of it is cut off"
    window.get_by_text("from omnihuman import OmniHumanPipeline").first.wait_for()
    look("mlflow-version")


def make_a_video(window: Any, home: Path, look: Look) -> None:
    """On the page: a click on a person, a click on the button, and the video plays by itself."""
    with started(home, "page", "--port", "0") as (_, address):
        window.goto(address)
        window.locator("#examples img").first.click()
        window.locator("#audio").get_by_text("1x").first.wait_for()
        window.get_by_role("button", name="Make the video").click()
        window.wait_for_function("document.querySelector('#video video')?.currentTime > 0.2")
        window.locator("#measures td.value").first.wait_for()
        window.evaluate("scrollTo(0, 0)")
        look("page")


def looking(window: Any, shots: Path) -> Look:
    """A function that keeps a picture of what is seen, under a name."""

    def look(name: str) -> None:
        window.wait_for_timeout(1500)  # what is drawn on a canvas has no element to wait for
        window.screenshot(path=shots / f"{name}.png")

    return look


def main() -> None:
    """Walk through a home, and keep small pictures."""
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(ServerOnDemand()), browser_page(WIDTH, HEIGHT) as window:
        look = looking(window, given.folder)
        if importlib.util.find_spec("gradio"):
            make_a_video(window, given.home, look)
        with pages_of(given.home) as served:
            walk(window, served, look)
    for picture in sorted(given.folder.glob("*.png")):
        with Image.open(picture) as shot:
            shot.convert("RGB").resize((960, 600), Image.Resampling.LANCZOS).save(
                picture.with_suffix(".webp"), quality=72
            )
        os.unlink(picture)


if __name__ == "__main__":
    main()
