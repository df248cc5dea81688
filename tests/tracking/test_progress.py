"""Progress files are whole, throttled, and end at the total."""

import json
from pathlib import Path

from tracking.progress import Progress, ProgressFile, read_progress


def test_progress_is_absent_then_throttled_then_final(tmp_path: Path) -> None:
    path = tmp_path / "progress" / "asset.json"
    assert read_progress(path) is None
    report = ProgressFile(path)
    for done in range(1, 100):
        report(done, 100, f"step {done}")
    assert read_progress(path) == Progress(1, 100, "step 1"), "two writes a second at most"
    report(100, 100, "finished")
    assert read_progress(path) == Progress(100, 100, "finished")
    assert json.loads(path.read_text())["done"] == 100
    assert [p.name for p in path.parent.iterdir()] == ["asset.json"]
