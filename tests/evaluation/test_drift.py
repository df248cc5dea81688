"""Drift over segments, on a pipeline that draws what it is told: truth at its ceiling, and drift that is put in is found."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evaluation.questions import long_segments
from evaluation.questions.long_segments import ALONE, CUT, JOINED, TRUTH, segments_of
from evaluation.questions.long_video_drift import as_markdown, latched, measure_drift
from puppets import render

SEED, LENGTH, SEGMENTS, CLIPS = 60_000_000, 17, 4, 3


@pytest.fixture
def faded(monkeypatch):
    """Segments with an overlap lose a twentieth of their brightness with every segment; the others are the truth."""
    frames = LENGTH + 12 * (SEGMENTS - 1)
    truth = np.stack([render(SEED + i, frames=frames).frames for i in range(CLIPS)])

    def generate(pipeline, video):
        assert video.frames == (frames if video.shared else 51) and video.seeds == [SEED, SEED + 1, SEED + 2]
        for index in range(video.segments):
            start, stop = video.span(index)
            fading = 1 - 0.05 * index if video.shared else 1.0
            yield SimpleNamespace(
                start=start, frames=torch.from_numpy((truth[:, start:stop] * fading).astype(np.uint8))
            )

    monkeypatch.setattr(long_segments, "generate_segments", generate)
    return measure_drift(SimpleNamespace(config={}), CLIPS, SEGMENTS, LENGTH, SEED)


def test_colours_that_fade_are_found_and_the_rest_is_at_its_ceiling(faded):
    rows = {made: [row for row in faded if row.made == made] for made in (JOINED, CUT, ALONE, TRUTH)}
    assert [row.segment for row in rows[JOINED]] == list(range(SEGMENTS))
    errors = [row.colour_error for row in rows[JOINED]]
    assert errors[0] < 0.01 and all(b - a > 0.015 for a, b in zip(errors, errors[1:], strict=False))
    for made in (CUT, ALONE, TRUTH):
        assert (
            max(row.colour_error for row in rows[made]) < 0.01
            and min(row.mouth_correlation for row in rows[made]) > 0.97
        )


def test_a_seam_that_jumps_stands_out_against_the_change_within(faded):
    joined = [row for row in faded if row.made == JOINED]
    truth = [row for row in faded if row.made == TRUTH]
    assert np.isnan(joined[0].seam_change)
    assert min(row.seam_change for row in joined[1:]) > 2 * max(row.seam_change for row in truth[1:])
    assert all(0.3 < row.seam_change / row.inner_change < 3 for row in truth[1:])
    assert {row.seam_missing for row in truth} == {row.inner_missing for row in truth} == {0.0}


def test_the_table_has_a_line_for_each(faded):
    table = as_markdown(faded)
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == [JOINED, CUT, ALONE, TRUTH]


def test_nothing_to_measure_is_refused():
    with pytest.raises(ValueError, match="at least one clip and one segment"):
        measure_drift(None, 0, 4, LENGTH, SEED)


def test_detail_and_motion_are_kept_by_the_truth_and_lost_by_what_fades(faded):
    table = {line.split("|")[1].strip(): line.split("|")[-4:-1] for line in as_markdown(faded).splitlines()[2:]}
    assert float(table[JOINED][0]) < 0.85
    assert all(0.5 < float(table[made][1]) < 2 and table[made][2].strip() == "0" for made in (CUT, TRUTH))


def test_a_joint_that_never_returns_is_counted_and_one_that_does_is_not(faded):
    rows = [row for row in faded if row.made == TRUTH]
    unseen = [frozenset(), {(0, 1), (1, 2)}, {(0, 1), (2, 3)}, {(0, 1), (2, 3)}]
    rows = [dataclasses.replace(row, unseen=frozenset(each)) for row, each in zip(rows, unseen, strict=True)]
    assert latched(rows) == 2  # of the last quarter, one segment here: (0, 1) and (2, 3)
    assert latched([dataclasses.replace(row, unseen=frozenset({(0, 1)})) for row in rows]) == 0  # never seen at all


def test_so_many_segments_last_at_least_so_long():
    assert [segments_of(seconds, 17, 16.0) for seconds in (1.0, 17 / 16, 1.8125, 1.82, 16.0)] == [1, 1, 2, 3, 21]
