"""Drift over seeds of the noise: one video at a time says what a batch says, and what was measured before an end is not made again."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from evaluation.questions import long_segments
from evaluation.questions.drift_over_seeds import APART, measure_drift_over_seeds
from evaluation.questions.long_segments import STREAM, TRUTH
from evaluation.questions.long_video_drift import as_markdown, latched, measure_drift
from orchestration.commands.cli import app
from orchestration.commands.options import CommandError
from puppets import render

SEED, LENGTH, SEGMENTS, CLIPS = 60_000_000, 17, 4, 2
FRAMES = LENGTH + 12 * (SEGMENTS - 1)
STREAMING = SimpleNamespace(config={"streaming": {"window": 5}})


class Noisy:
    """In place of a model: the truth with noise of the seeds; counts what it makes, and ends when it is told to."""

    def __init__(self):
        self.truth = [render(SEED + i, frames=FRAMES).frames for i in range(CLIPS)]
        self.made, self.ends_after = [], None

    def __call__(self, pipeline, video):
        for index in range(video.segments):
            start, stop = video.span(index)
            parts = []
            for caption, seed in zip(video.prompts, video.seeds, strict=True):
                clip = (seed - SEED) % APART
                assert caption == render(SEED + clip, frames=FRAMES).caption
                noise = np.random.default_rng([seed, index]).integers(-20, 20, (stop - start, 64, 64, 3))
                parts.append(np.clip(self.truth[clip][start:stop] + noise, 0, 255).astype(np.uint8))
            yield SimpleNamespace(start=start, frames=torch.from_numpy(np.stack(parts)))
        self.made.append(tuple(video.seeds))
        if self.ends_after == len(self.made):
            raise KeyboardInterrupt


@pytest.fixture
def model(monkeypatch):
    noisy = Noisy()
    monkeypatch.setattr(long_segments, "generate_segments", noisy)
    return noisy


def over_seeds(kept, seeds, **more):
    return measure_drift_over_seeds(STREAMING, CLIPS, seeds, SEGMENTS, LENGTH, SEED, kept, **more)


def test_one_seed_says_what_a_batch_of_the_clips_says(model, tmp_path):
    batch, single = measure_drift(STREAMING, CLIPS, SEGMENTS, LENGTH, SEED), over_seeds(tmp_path, 1)
    assert [(row.made, row.segment) for row in single] == [(row.made, row.segment) for row in batch]
    for one, other in zip(single, batch, strict=True):
        assert one.unseen == other.unseen
        for name in (
            "colour_error",
            "mouth_correlation",
            "seam_change",
            "inner_change",
            "inner_missing",
            "detail",
            "motion",
        ):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5, nan_ok=True), name


def test_every_person_is_made_with_every_seed_and_the_truth_once(model, tmp_path):
    told = []
    rows = over_seeds(tmp_path, 3, progress=lambda done, total, way: told.append((done, total, way)))
    assert sorted(model.made) == sorted((SEED + clip + APART * noise,) for noise in range(3) for clip in range(CLIPS))
    assert [row.made for row in rows] == [STREAM] * SEGMENTS + [TRUTH] * SEGMENTS
    assert [done for done, _, _ in told] == list(range(1, 3 * CLIPS * SEGMENTS + 1))
    assert {(total, way) for _, total, way in told} == {(3 * CLIPS * SEGMENTS, STREAM)}
    truth = [row for row in measure_drift(STREAMING, CLIPS, SEGMENTS, LENGTH, SEED) if row.made == TRUTH]
    assert [row.mouth_correlation for row in rows[SEGMENTS:]] == pytest.approx([row.mouth_correlation for row in truth])


def test_what_was_measured_before_an_end_is_not_made_again(model, tmp_path):
    whole = over_seeds(tmp_path / "whole", 2)
    model.made, model.ends_after = [], 3
    with pytest.raises(KeyboardInterrupt):
        over_seeds(tmp_path / "ended", 2)
    assert len(list((tmp_path / "ended").iterdir())) == 2, "the third was not measured to its end"
    before, model.made, model.ends_after = model.made[:2], [], None
    assert repr(over_seeds(tmp_path / "ended", 2)) == repr(whole)  # the first seam is NaN, which equals nothing
    assert len(model.made) == 2 and not set(model.made) & set(before)


def test_a_joint_that_one_seed_loses_for_good_is_counted(model, tmp_path):
    """And as that seed's own: the same joint of the same person with another noise is another."""
    hidden = (SEED + 1 + APART,)

    def hides(pipeline, video):
        for index, part in enumerate(Noisy.__call__(model, pipeline, video)):
            if tuple(video.seeds) == hidden and index:
                part.frames[:] = 128
            yield part

    long_segments.generate_segments = hides  # the fixture's patch takes it back
    rows = [row for row in over_seeds(tmp_path, 2) if row.made == STREAM]
    assert latched(rows) == 4 and {clip for clip, _ in rows[-1].unseen} == {3}
    assert as_markdown(rows).splitlines()[2].endswith("| 4 |")


def test_nothing_to_measure_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a clip, a seed and a segment at least"):
        over_seeds(tmp_path, 0)


def test_seeds_are_of_long_videos():
    done = CliRunner().invoke(app, ["drift", "--recovery", "--seeds", "3"])
    assert isinstance(done.exception, CommandError) and "--seeds is of long videos" in str(done.exception)
