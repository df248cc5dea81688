"""The comparison of block designs: both are of one size, and "apart" is said where every interval is."""

import pandas as pd

from benchmarks.training.block_designs import designs, side_by_side


def test_both_designs_have_as_many_parameters():
    wan, mmdit = designs("laptop", [])
    assert wan.name == "wan" and mmdit.name == "mmdit" and abs(mmdit.parameters / wan.parameters - 1) < 0.005


def test_designs_are_apart_where_every_interval_of_one_lies_past_every_interval_of_the_other():
    def rows(metric, *bounds):
        names = ("wan-0", "wan-1", "mmdit-0", "mmdit-1")
        return [
            {"model": name, "mode": "audio", "metric": metric, "value": sum(ends) / 2, "ci_low": ends[0], "ci_high": ends[1]}
            for name, ends in zip(names, bounds, strict=True)
        ]  # fmt: skip

    scores = pd.DataFrame(
        [
            *rows("mouth_correlation", (0.1, 0.2), (0.2, 0.3), (0.4, 0.5), (0.6, 0.7)),
            *rows("missing_joints", (0.1, 0.2), (0.1, 0.3), (0.4, 0.5), (0.6, 0.7)),
            *rows("colour_error", (0.1, 0.2), (0.1, 0.45), (0.4, 0.5), (0.6, 0.7)),
        ]
    )
    table = side_by_side(scores, ["wan-0", "wan-1", "mmdit-0", "mmdit-1"])
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    assert [(line[0], line[-1]) for line in lines] == [
        ("mouth_correlation", "mmdit better"), ("missing_joints", "wan better"), ("colour_error", "no"),
    ]  # fmt: skip
    assert lines[0][2] == "0.15 [0.1, 0.2]"
