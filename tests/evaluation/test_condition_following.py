"""How conditions are followed, on pipelines that draw what they are told or somebody else: truth at its ceiling, a stranger at the floor."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import evaluation.questions.condition_following as condition_following
from evaluation.questions.condition_following import DRIVEN_BY, TRUTH, as_markdown, measure_condition_following
from puppets import render

SEED, LENGTH, SEGMENTS, CLIPS = 60_000_000, 17, 3, 4
FRAMES = LENGTH + 12 * (SEGMENTS - 1)


@pytest.fixture
def given():
    """What each call was driven by: (sound, pose)."""
    return []


@pytest.fixture
def rows(monkeypatch, given):
    """Draws the people where a pose is given, and the next person where none is."""
    truth = np.stack([render(SEED + i, frames=FRAMES).frames for i in range(CLIPS)])

    def generate(pipeline, video):
        given.append((video.audio is not None, "pose" in video.tracks))
        assert video.frames == FRAMES and video.reference.shape == (CLIPS, 64, 64, 3) and all(video.prompts)
        shown = truth if "pose" in video.tracks else np.roll(truth, -1, axis=0)
        for index in range(video.segments):
            start, stop = video.span(index)
            yield SimpleNamespace(start=start, frames=torch.from_numpy(shown[:, start:stop]))

    monkeypatch.setattr(condition_following, "generate_segments", generate)
    scores = measure_condition_following(None, CLIPS, SEGMENTS, LENGTH, SEED)
    return {(row.driven_by, row.segments, row.metric): row for row in scores}


def test_every_way_is_given_its_signals_and_measured_over_one_segment_and_all(rows, given):
    assert given == list(DRIVEN_BY.values()) == [(True, False), (False, True), (True, True), (False, False)]
    assert {key[:2] for key in rows} == {(name, length) for name in (*DRIVEN_BY, TRUTH) for length in (1, SEGMENTS)}


@pytest.mark.parametrize("length", [1, SEGMENTS])
def test_who_follows_is_at_the_ceiling_and_a_stranger_at_the_floor(rows, length):
    for metric, good, floor in (
        ("mouth_correlation", 0.97, 0.7),
        ("joint_error_median", 0.6, 3.0),
        ("colour_error", 0.01, 0.1),
    ):
        ceiling, followed, stranger = (
            rows[TRUTH, length, metric],
            rows["pose", length, metric],
            rows["words alone", length, metric],
        )
        assert followed.value == ceiling.value and followed.floor == ceiling.floor
        if metric == "mouth_correlation":
            assert followed.value.value > good and stranger.value.value < floor and followed.floor < floor
        else:
            assert followed.value.value < good and stranger.value.value > floor and followed.floor > floor
        assert followed.value.ci_low <= followed.value.value <= followed.value.ci_high


def test_the_table_has_a_line_for_each_way_and_length(rows):
    lines = as_markdown(list(rows.values())).splitlines()
    assert len(lines) == 2 + 2 * (len(DRIVEN_BY) + 1) and all(line.count("|") == 7 for line in lines)
    assert "(floor " in lines[2] and "(floor" not in lines[2].split("|")[5]


def test_a_floor_needs_somebody_else():
    with pytest.raises(ValueError, match="two clips or more"):
        measure_condition_following(None, 1, 2, LENGTH, SEED)
