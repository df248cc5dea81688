"""Drift over segments, on a pipeline that draws what it is told: truth at its ceiling, and drift that is put in is found."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import evaluation.questions.long_video_drift as drift
from evaluation.questions.long_video_drift import ALONE, CUT, JOINED, TRUTH, as_markdown, measure_drift
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

    monkeypatch.setattr(drift, "generate_segments", generate)
    return measure_drift(None, CLIPS, SEGMENTS, LENGTH, SEED)


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
