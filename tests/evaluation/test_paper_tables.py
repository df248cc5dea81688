"""Our own models in the shape of the paper's tables, out of a table of scores."""

import pandas as pd

from evaluation.benchmark.benchmark_plan import AUDIO, GROUND_TRUTH, PIXELS, STUDENT
from evaluation.pages.paper_tables import paper_tables

ROWS = [("ground truth", GROUND_TRUTH, PIXELS), ("student", STUDENT, AUDIO)]


def scores(*numbers):
    rows = [
        {"model": model, "mode": mode, "metric": metric, "unit": "", "value": value, "ci_low": value - 1, "ci_high": value + 1, "clips": 3}
        for model, mode, metric, value in numbers
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_what_was_measured_stands_in_the_shape_of_its_table_and_the_rest_is_named():
    table = scores((GROUND_TRUTH, PIXELS, "sync_c", 7.0), (STUDENT, AUDIO, "sync_c", 4.0), (STUDENT, AUDIO, "hkc", 0.5))
    page = paper_tables(table, "held_out", ROWS)
    portrait, body = page.split("## ")[1:]
    assert portrait.startswith("Portrait (shape of Table 1)") and body.startswith("Body (shape of Table 2)")
    assert "| ground truth | – | – | 7 [6, 8] | – | – |" in portrait and "OmniHuman" not in page
    assert "| student | – | – | 4 [3, 5] | – | – | – | 0.5 [-0.5, 1.5] |" in body
    assert "Not measured here: IQA↑, ASE↑, FID↓, FVD↓, HKV↑; unmeasured.parquet" in body


def test_published_numbers_stand_apart_beside_the_set_of_their_name_only():
    table = scores((STUDENT, AUDIO, "fid", 40.0))
    page = paper_tables(table, "test_set:celebv-hq", ROWS)
    portrait, body = page.split("## ")[1:]
    assert "Do not subtract across them" in portrait and "| OmniHuman | –" in portrait and "5.199" in portrait
    assert "OmniHuman" not in body
    assert "7.443" in paper_tables(table, "test_set:cyberhost", ROWS)


def test_a_benchmark_of_which_none_of_it_was_measured_has_no_such_table():
    assert paper_tables(scores((STUDENT, AUDIO, "faces_found", 1.0)), "rendered_people", ROWS) == ""
