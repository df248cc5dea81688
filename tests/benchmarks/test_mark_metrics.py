"""What the mark does to metrics: the videos that are scored carry it or do not, and the numbers are the benchmark's own."""

import numpy as np
import pandas as pd
import pytest

from assets.core.workspace import Workspace
from benchmarks.provenance.metrics import AS_MADE, DAY, MARKED, WRITTEN, table_of, write_set
from benchmarks.provenance.people_metrics import TRUE, build, make_videos, people_at, score
from evaluation.benchmark.benchmark_plan import PIXELS, RECONSTRUCTION
from evaluation.benchmark.generated import open_generated
from evaluation.metrics.observation.instruments import Instruments
from provenance.watermark.find import find
from provenance.watermark.payload import Payload


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("home"), people_at(128, clips=2, bootstrap=20, frames=5))


@pytest.fixture(scope="module")
def benchmark(workspace):
    benchmark = build(workspace, films=False)
    make_videos(workspace, benchmark)
    return benchmark


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def test_marked_videos_carry_a_payload_each_and_the_others_none(workspace, benchmark, tmp_path):
    source = workspace.of_benchmark("generated_videos", benchmark.name) / TRUE / PIXELS
    for kind, marked in ((WRITTEN, False), (MARKED, True)):
        write_set(source, tmp_path / kind, benchmark, marked)
    plain, with_mark = (open_generated(tmp_path / kind, benchmark) for kind in (WRITTEN, MARKED))
    assert plain.names == with_mark.names == benchmark.names
    found = [(find(plain.frames(name)), find(with_mark.frames(name))) for name in benchmark.names]
    assert [(one.marked, other.payload) for one, other in found] == [(False, Payload(1, DAY)), (False, Payload(2, DAY))]
    assert all(38 < decibels(plain.frames(name), with_mark.frames(name)) < 42 for name in benchmark.names)


@pytest.mark.parametrize("model", [RECONSTRUCTION, TRUE])
def test_scores_are_those_of_the_videos_as_made_written_and_marked(workspace, benchmark, model):
    scores = score(workspace, benchmark, model, Instruments())
    psnr = scores[scores["metric"] == "psnr"].set_index("model")["value"]
    made = open_generated(workspace.of_benchmark("generated_videos", benchmark.name) / model / PIXELS, benchmark)
    if model == RECONSTRUCTION:
        real = [benchmark.sample(clip).frames.numpy() for clip in range(len(benchmark))]
        each = [decibels(made.frames(name), frames) for name, frames in zip(benchmark.names, real, strict=True)]
        assert psnr[AS_MADE] == pytest.approx(np.mean(each), abs=0.2)
    # Errors add up: what the encoder does to colours, and the mark, which is 40 dB by itself.
    written, marked = (10 ** (-psnr[kind] / 10) for kind in (WRITTEN, MARKED))
    assert psnr[AS_MADE] > psnr[WRITTEN] and 38 < -10 * np.log10(marked - written) < 42, psnr
    assert set(scores["model"]) == {AS_MADE, WRITTEN, MARKED} and set(scores["mode"]) == {PIXELS}


def test_the_table_says_what_left_its_interval_what_has_none_and_on_how_many_clips_each_is_defined():
    row = {"mode": PIXELS, "metric": "psnr", "value": 30.0, "ci_low": 29.5, "ci_high": 30.5}
    row |= {"clips": 8, "coverage": 1.0}
    rows = [
        row_of(row, AS_MADE, value=31.0), row_of(row, WRITTEN), row_of(row, MARKED, value=29.4),
        row_of(row, WRITTEN, metric="fid", ci_low=np.nan, ci_high=np.nan), row_of(row, MARKED, metric="fid"),
        row_of(row, WRITTEN, metric="akd"), row_of(row, MARKED, metric="akd", value=30.5),
        row_of(row, WRITTEN, metric="hkv", ci_low=30.0, ci_high=30.0, coverage=1 / 8),
    ]  # fmt: skip
    assert table_of(pd.DataFrame(rows)).splitlines()[2:] == [
        "| pixels | psnr | 31 | 30 | 29.5 to 30.5 | 29.4 | **no** | 8, 8 of 8 |",
        "| pixels | fid | nan | 30 | none | 30 | - | 8, 8 of 8 |",
        "| pixels | akd | nan | 30 | 29.5 to 30.5 | 30.5 | yes | 8, 8 of 8 |",
        "| pixels | hkv | nan | 30 | 30 to 30 | nan | **no** | 1, 0 of 8 |",
    ]


def row_of(row: dict, model: str, **changed: object) -> dict:
    return {**row, "model": model, **changed}
