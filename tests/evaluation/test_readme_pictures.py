"""The README's pictures hold what was generated, play, and are small; its table has the numbers of the comparison."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.readme import BAND, results_table, sheet, write_pictures


@pytest.fixture
def data(tmp_path, benchmark_folder, generated_root):
    (tmp_path / "benchmark_sets").mkdir()
    (tmp_path / "benchmark_sets" / "puppets").symlink_to(benchmark_folder)
    (tmp_path / "generated_videos").mkdir()
    (tmp_path / "generated_videos" / "puppets").symlink_to(generated_root)
    return tmp_path


def test_both_pictures_play_all_frames_and_are_small(data, benchmark):
    paths = list(write_pictures(data, data / "pictures"))
    assert [path.name for path in paths] == ["talking.webp", "posed.webp"]
    for path in paths:
        with Image.open(path) as picture:
            assert picture.n_frames == benchmark.frames.shape[1] and picture.info["loop"] == 0  # type: ignore[attr-defined]
            assert picture.size == (BAND + 4 * 128, 4 * 128)
        assert path.stat().st_size < 200_000


def test_a_sheet_has_reference_truth_and_models_in_rows(benchmark):
    dark, light = np.zeros(benchmark.frames.shape, np.uint8), np.full(benchmark.frames.shape, 255, np.uint8)
    rows = np.split(sheet(benchmark, [dark, light], clips=2)[:, :, BAND:], 4, axis=1)
    assert np.array_equal(rows[0][3, ::2, 128::2], benchmark.reference[1].numpy())
    assert np.array_equal(rows[1][3, ::2, :128:2], benchmark.frames[0, 3].numpy())
    assert rows[2].max() == 0 and rows[3].min() == 255


def test_the_table_has_the_columns_that_decide_and_a_dash_for_no_number():
    table = {"teacher": {"mouth r, audio": 0.966, "detail / truth, audio": 0.7, "joints px (median), pose": None}}
    assert list(results_table({"clips": 64, "table": table})) == [
        "| 64 held-out puppets | mouth r, audio | joints px (median), pose |",
        "| --- | ---: | ---: |",
        "| teacher | 0.966 | – |",
    ]
