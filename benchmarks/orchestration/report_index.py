"""`python -m benchmarks.orchestration.report_index [--reports N]`: how long the list of so many shards' reports takes to open.

Each has a page, a summary and a small picture, as the assets write them; the first look reads the folder, later ones what changed.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from starlette.testclient import TestClient

from curation.pages.figures import contact_sheet
from media.pages import SUMMARY, THUMBNAIL, Section, write_page
from orchestration.report_pages import build_app


def main() -> None:
    """Print milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=10_000)
    given = parser.parse_args()

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "raw_clips"
        noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
        first = write_page(
            folder / "s-000000.html",
            "one",
            [Section("s", pictures=[contact_sheet([noise] * 8, ["clip"] * 8)])],
            {"clips": 8},
        )
        for number in range(1, given.reports):
            for suffix in (".html", SUMMARY, THUMBNAIL):
                os.link(first.with_suffix(suffix), folder / f"s-{number:06}{suffix}")
        client = TestClient(build_app(Path(place)), base_url="http://127.0.0.1")
        for what, address in (("first look", "/"), ("second look", "/"), ("by name", "/?find=s-0099")):
            milliseconds = 1000 * timed(client, address)
            print(f"{given.reports} reports, {what}: {milliseconds:.0f} ms", flush=True)
        write_page(folder / "s-000001.html", "new", [])
        print(f"{given.reports} reports, after one was written: {1000 * timed(client, '/'):.0f} ms")


def timed(client: TestClient, address: str) -> float:
    """Seconds until the list is there."""
    began = time.perf_counter()
    answer = client.get(address)
    took = time.perf_counter() - began
    assert answer.status_code == 200 and "s-" in answer.text
    return took


if __name__ == "__main__":
    main()
