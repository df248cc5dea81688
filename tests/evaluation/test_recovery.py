"""A spoiled past: how long its traces last, on videos that return when they are told to."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from evaluation.questions import recovery
from evaluation.questions.recovery import as_markdown, measure_recovery, soft, tinted
from orchestration.commands.cli import app
from orchestration.commands.options import CommandError


@pytest.fixture
def made(monkeypatch):
    """Videos of noise; where the past is spoiled, so many segments are spoiled as `lasts` says."""
    lasts = {soft: 2, tinted: 9}
    plain = [np.random.default_rng(i).integers(60, 200, (2, 12, 64, 64, 3)).astype(np.uint8) for i in range(6)]
    for part in plain:
        part[..., 0] //= 2  # a colour, so that it can be another

    def segments(pipeline, video, before, spoil):
        assert before == 3 and video.segments == 9
        count = 0 if spoil is None else lasts[spoil]
        pixels = [torch.from_numpy(part).permute(0, 4, 1, 2, 3).float() for part in plain]
        spoiled = [spoil(part) if i < count else part for i, part in enumerate(pixels)] if spoil else pixels
        return [part.permute(0, 2, 3, 4, 1).round().to(torch.uint8).numpy() for part in spoiled]

    monkeypatch.setattr(recovery, "_segments", segments)
    return measure_recovery(SimpleNamespace(config={}), 2, 17, 60_000_000)


def test_the_segments_until_a_video_is_itself_again_are_counted(made):
    of_softness, of_colours = made
    assert of_softness.segments == 2 and of_softness.detail[0] < 0.5 and of_softness.detail[2:] == (1.0,) * 4
    assert of_colours.segments is None and min(of_colours.colour) > 0.05


def test_the_table_says_so(made):
    lines = as_markdown(made).splitlines()
    assert lines[2].endswith("| 2 |") and lines[3].endswith("| not within them |")


def test_an_option_of_long_videos_is_not_passed_over():
    done = CliRunner().invoke(app, ["drift", "--recovery", "--seconds", "80"])
    assert isinstance(done.exception, CommandError) and "--seconds is of long videos" in str(done.exception)
