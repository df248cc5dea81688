"""What a corpus takes: known answers, and the page that shows them."""

from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from assets.plan.corpus import plan_corpus, print_corpus
from profiles import load_profile
from training.plan.gpus import read_cluster

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "scale.md"


def corpus(profile: str, hours: float, gpus: str = "8xH100"):
    return plan_corpus(load_profile(profile, []), read_cluster(gpus, None, 8), 0.3, hours, 512, 0.04, 23.0)


def test_a_thousand_hours_take_what_was_measured_of_three_seconds():
    found = corpus("laptop", 1000.0)
    # 111 ms of a core for 3 s of a clip; 0.84 of that for scores.
    assert found.core_hours["condition_features"] == pytest.approx(37.0)
    assert found.core_hours["clip_scores"] == pytest.approx(68.08)
    assert found.stored["raw_clips"] == pytest.approx(2.25e12)
    assert found.windows == pytest.approx(1000 * 3600 * 16 / 17) and found.shards == pytest.approx(found.windows / 2048)
    said, twice = found.as_dict(), corpus("laptop", 2000.0).as_dict()
    assert said["dollars_cores"] == pytest.approx((37.0 + 68.08) * 0.04)
    for name in ("windows", "shards", "gpu_hours", "gpu_days", "dollars_cores", "dollars_gpus", "dollars_a_month"):
        assert twice[name] == pytest.approx(2 * said[name]), name
    assert said["gpu_hours"] > 0 and corpus("laptop", 1000.0, "16xH100").as_dict()["gpu_days"] == pytest.approx(
        said["gpu_days"] / 2
    )


@pytest.mark.end_to_end
def test_the_page_shows_what_the_command_says():
    said = StringIO()
    with redirect_stdout(said):
        print_corpus(corpus("wan2.1-1.3b", 18700.0))
    shown = PAGE.read_text().partition("<!-- corpus: wan2.1-1.3b 8xH100 18700 -->\n```text\n")[2].partition("\n```")[0]
    assert said.getvalue().strip() == shown
