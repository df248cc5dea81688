"""Drift over seeds of the noise: one video at a time says what a batch says, and what was measured before an end is not made again."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from assets.core.workspace import Workspace
from evaluation.questions import kept_videos, long_segments
from evaluation.questions.drift_over_seeds import APART, files_of, measure_drift_over_seeds
from evaluation.questions.kept_videos import KeptVideosBusy, holding_alone
from evaluation.questions.long_segments import ALONE, CUT, JOINED, STREAM, TRUTH
from evaluation.questions.long_video_drift import as_markdown, latched, measure_drift
from orchestration.commands import probing
from orchestration.commands.cli import app
from orchestration.commands.options import CommandError
from profiles import load_profile
from puppets import render
from serving import model_choice

SEED, LENGTH, SEGMENTS, CLIPS = 60_000_000, 17, 4, 2
FRAMES = LENGTH + 12 * (SEGMENTS - 1)
STREAMING, JOINING = SimpleNamespace(config={"streaming": {"window": 5}}), SimpleNamespace(config={})


class Noisy:
    """In place of a model: the truth with noise of the seeds, and where it blinks without a picture twice in a segment; counts what it makes, and
    ends when it is told to."""

    def __init__(self):
        self.truth = [render(SEED + i, frames=FRAMES).frames for i in range(CLIPS)]
        self.made, self.ends_after, self.blinks = [], None, False

    def __call__(self, pipeline, video):
        for index in range(video.segments):
            start, stop = video.span(index)
            parts = []
            for caption, seed in zip(video.prompts, video.seeds, strict=True):
                clip = (seed - SEED) % APART
                assert caption == render(SEED + clip, frames=FRAMES).caption
                noise = np.random.default_rng([seed, index]).integers(-20, 20, (stop - start, 64, 64, 3))
                parts.append(np.clip(self.truth[clip][start:stop] + noise, 0, 255).astype(np.uint8))
            frames = torch.from_numpy(np.stack(parts))
            if self.blinks:
                frames[:, 1:3] = 128
            yield SimpleNamespace(start=start, frames=frames)
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


@pytest.mark.parametrize(("pipeline", "ways"), [(STREAMING, [STREAM]), (JOINING, [JOINED, CUT, ALONE])])
def test_one_seed_says_what_a_batch_of_the_clips_says(model, tmp_path, pipeline, ways):
    model.blinks = True
    batch = measure_drift(pipeline, CLIPS, SEGMENTS, LENGTH, SEED)
    single = measure_drift_over_seeds(pipeline, CLIPS, 1, SEGMENTS, LENGTH, SEED, tmp_path)
    assert list(dict.fromkeys(row.made for row in single)) == [*ways, TRUTH]
    assert [(row.made, row.segment) for row in single] == [(row.made, row.segment) for row in batch]
    made = [row for row in single if row.made != TRUTH]
    assert all(row.seam_missing > row.inner_missing for row in made), "two of the first five frames are empty"
    for one, other in zip(single, batch, strict=True):
        assert one.unseen == other.unseen
        for name in (
            "colour_error",
            "mouth_correlation",
            "seam_change",
            "inner_change",
            "seam_missing",
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


@pytest.fixture
def asked(model, monkeypatch, tmp_path):
    """`omnihuman drift` of that model, which a profile of puppets reads; gives the folder of what is kept."""
    profile = load_profile("laptop", [f"evaluation.seed={SEED}", f"video.frames={LENGTH}"])
    workspace = Workspace(tmp_path, profile)
    loaded = SimpleNamespace(pipeline=STREAMING, name="a student", trained_on=None)
    monkeypatch.setattr(probing, "open_with", lambda: workspace)
    monkeypatch.setattr(model_choice, "load_model", lambda *_: loaded)
    monkeypatch.setattr(kept_videos, "kept_name", lambda *_: "key")
    return workspace.scratch("drift") / "key"


def drift(*options):
    return CliRunner().invoke(app, ["drift", "--segments", str(SEGMENTS), "--clips", "1", *options])


def test_a_run_takes_away_its_own_videos_when_its_table_is_shown(asked, model):
    other = files_of(asked, 1, 3)[2, 0]
    other.parent.mkdir(parents=True)
    other.write_bytes(b"of a run of three seeds that was ended")
    done = drift("--seeds", "2", "--output", str(asked.parent / "rows.csv"))
    assert done.exit_code == 0 and STREAM in done.stdout, done.exception
    assert len(model.made) == 2 and list(asked.iterdir()) == [other]
    assert (asked.parent / "rows.csv").read_text().count(STREAM) == SEGMENTS


def test_a_run_beside_another_is_refused(asked, model):
    with holding_alone(asked), ThreadPoolExecutor(1) as other:
        done = other.submit(drift, "--seeds", "1").result()
    assert isinstance(done.exception, KeptVideosBusy) and not model.made


@pytest.mark.parametrize("option", [("--seeds", "2"), ("--recovery",)])
def test_what_is_of_puppets_is_refused_for_a_model_of_people(asked, model, monkeypatch, option):
    monkeypatch.setattr(probing, "shows_people", lambda *_: True)
    done = CliRunner().invoke(app, ["drift", *option])
    assert isinstance(done.exception, CommandError) and f"{option[0]} is of puppets" in str(done.exception)
    assert not model.made
