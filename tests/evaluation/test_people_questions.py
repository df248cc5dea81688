"""Driving and drift of rendered people, on pipelines that draw what they are told, somebody else, or nothing: read by a detector that knows each picture."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import evaluation.questions.condition_following as condition_following
import evaluation.questions.long_segments as long_segments
import evaluation.questions.people_drift as people_drift
import evaluation.questions.people_sensitivity as people_sensitivity
from evaluation.benchmark.benchmark import BenchmarkError
from evaluation.metrics.observation.instruments import Instruments
from evaluation.questions.condition_following import DRIVEN_BY, TRUTH
from evaluation.questions.long_segments import ALONE, CUT, JOINED, first_and_last
from evaluation.questions.people_following import measure_people_following
from evaluation.questions.sensitivity import CASES, measure_sensitivity
from evaluation.questions.talking_people import people_video, side_of_people
from networks.weights import Network
from profiles import load_profile

SEED, LENGTH, SEGMENTS, CLIPS, SIDE = 60_000_000, 17, 3, 2, 64
FRAMES = LENGTH + 12 * (SEGMENTS - 1)


class Reader:
    """Finds the keypoints that were drawn in each picture that it knows, and nobody in any other."""

    network = Network("keypoints", "0" * 64, "what was drawn")

    def __init__(self, shown):
        self.known = {}
        for person in shown:
            points = person.keypoints.copy()
            points[..., 2] = 1
            self.known |= {frame.tobytes(): drawn for frame, drawn in zip(person.frames, points, strict=True)}

    def __call__(self, frames):
        return np.stack([self.known.get(frame.tobytes(), np.zeros((133, 3), np.float32)) for frame in frames])


@pytest.fixture(scope="module")
def shown():
    return people_video(CLIPS, SEGMENTS, LENGTH, SIDE, SEED, None)[1]


@pytest.fixture
def eyes(shown):
    return Instruments(keypoints=Reader(shown))


def test_who_follows_a_pose_is_at_the_ceiling_and_a_stranger_at_the_floor(shown, eyes, monkeypatch):
    truth = np.stack([person.frames[:FRAMES] for person in shown])
    given = []

    def generate(pipeline, video):
        given.append((video.audio is not None, "pose" in video.tracks))
        assert video.frames == FRAMES and video.reference.shape == (CLIPS, SIDE, SIDE, 3) and all(video.prompts)
        drawn = truth if "pose" in video.tracks else truth[::-1]
        for index in range(video.segments):
            start, stop = video.span(index)
            yield SimpleNamespace(start=start, frames=torch.from_numpy(drawn[:, start:stop].copy()))

    monkeypatch.setattr(condition_following, "generate_segments", generate)
    scores = measure_people_following(None, eyes, CLIPS, SEGMENTS, LENGTH, SIDE, SEED)
    rows = {(row.driven_by, row.segments, row.metric): row for row in scores}
    assert given == list(DRIVEN_BY.values())
    assert {key[:2] for key in rows} == {(name, length) for name in (*DRIVEN_BY, TRUTH) for length in (1, SEGMENTS)}
    assert {key[2] for key in rows} == {"true_mouth_r", "akd", "head_pose_error", "faces_found"}, "no face network here"
    for length in (1, SEGMENTS):
        for metric in ("true_mouth_r", "akd", "head_pose_error"):
            followed, stranger = rows["pose", length, metric], rows["words alone", length, metric]
            assert followed.value == rows[TRUTH, length, metric].value
            assert followed.floor == pytest.approx(stranger.value.value) and stranger.floor == pytest.approx(
                followed.value.value, abs=1e-6
            )
        assert (
            rows["pose", length, "true_mouth_r"].value.value
            > 0.95
            > 0.7
            > rows["sound", length, "true_mouth_r"].value.value
        )
        assert rows["pose", length, "akd"].value.value == 0.0 and rows["sound", length, "akd"].value.value > 2
        assert rows["sound", length, "faces_found"].value.value == 1.0 and np.isnan(
            rows["sound", length, "faces_found"].floor
        )
    table = condition_following.as_markdown(scores)
    assert len(table.splitlines()) == 2 + 2 * (len(DRIVEN_BY) + 1) and "true mouth r" in table and "joint" not in table


def test_a_face_that_is_lost_on_the_way_is_found_and_the_truth_keeps_its_own(shown, eyes, monkeypatch):
    truth = np.stack([person.frames[:FRAMES] for person in shown])

    def generate(pipeline, video):
        for index in range(video.segments):
            start, stop = video.span(index)
            frames = truth[:, start:stop].copy()
            if video.shared and index == SEGMENTS - 1:
                frames //= 2
            yield SimpleNamespace(start=start, frames=torch.from_numpy(frames))

    monkeypatch.setattr(long_segments, "generate_segments", generate)
    pipeline = SimpleNamespace(config={})
    rows = people_drift.measure_people_drift(pipeline, eyes, CLIPS, SEGMENTS, LENGTH, SIDE, SEED)
    by_way = {made: [row for row in rows if row.made == made] for made in (JOINED, CUT, ALONE, TRUTH)}
    assert [len(own) for own in by_way.values()] == [3, 2, 2, 3]
    joined, drawn = by_way[JOINED], by_way[TRUTH]
    assert [row.numbers["faces_found"] for row in joined] == [1.0, 1.0, 0.0]
    assert [row.numbers["faces_found"] for row in drawn] == [1.0, 1.0, 1.0]
    assert drawn[0].numbers["true_mouth_r"] > 0.95 and np.isnan(joined[-1].numbers["true_mouth_r"])
    assert joined[-1].seam_change > 2 * drawn[-1].seam_change and joined[-1].detail < 0.5 * joined[0].detail
    assert set(joined[0].as_row()) == {"made", "segment", "seam_change", "inner_change", "detail", *joined[0].numbers}
    lines = people_drift.as_markdown(rows).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [JOINED, CUT, ALONE, TRUTH]
    assert "faces found" in lines[0] and "joints" not in lines[0] and "1.000, 1.000, 0.000" in lines[2]
    with pytest.raises(ValueError, match="at least one clip"):
        people_drift.measure_people_drift(pipeline, eyes, 0, SEGMENTS, LENGTH, SIDE, SEED)


class Draws:
    """Shows the person of the reference, with the motion of the clip whose pose it is given; of other noise, nothing else."""

    def __init__(self, shown):
        self.shown = shown

    def __call__(self, **given):
        posed = [
            next(p for p in self.shown if np.array_equal(p.keypoints[:LENGTH], one.numpy())) for one in given["pose"]
        ]
        assert given["num_frames"] == LENGTH and given["height"] == given["width"] == SIDE
        return SimpleNamespace(frames=torch.from_numpy(np.stack([person.frames[:LENGTH] for person in posed])))


def test_a_swapped_condition_changes_what_follows_it_alone():
    shown = people_video(CLIPS, 1, LENGTH, SIDE, SEED, None)[1]
    eyes = Instruments(keypoints=Reader(shown))
    rows = people_sensitivity.measure_people_sensitivity(Draws(shown), eyes, CLIPS, LENGTH, SIDE, SEED)
    by_case = {row.title: row for row in rows}
    assert list(by_case) == [case.title for case in CASES]
    for title, row in by_case.items():
        assert set(row.changes) == {"mouth_opening_r", "akd", "head_pose_error"}
        moved = title == "another pose"
        assert (row.changes["akd"] > 2) == moved and (row.changes["mouth_opening_r"] < 0.7) == moved
    assert by_case["another pose"].follows == ("akd", 0.0) and by_case["another pose"].unswapped > 2
    heard = by_case["another sound"]
    assert heard.follows[0] == "true_mouth_r" and heard.follows[1] == heard.unswapped < 0.7, "this one hears nothing"
    assert by_case["another noise"].follows is None and by_case["another reference"].follows is None
    lines = people_sensitivity.as_markdown(rows).splitlines()
    assert len(lines) == 2 + len(CASES) and "0.000 (AKD)" in lines[4] and len({line.count("|") for line in lines}) == 1
    with pytest.raises(ValueError, match="two or more"):
        people_sensitivity.measure_people_sensitivity(Draws(shown), eyes, 1, LENGTH, SIDE, SEED)


def test_of_puppets_the_same_is_read_from_pixels(benchmark):
    def draw(**given):
        posed = [next(k for k, p in enumerate(benchmark.keypoints) if torch.equal(p, one)) for one in given["pose"]]
        return SimpleNamespace(frames=benchmark.frames[posed])

    rows = {row.title: row for row in measure_sensitivity(draw, benchmark, 3, 1, SEED, 2)}
    assert rows["another pose"].follows < 0.6 < 2 < rows["another pose"].unswapped
    assert (
        rows["another pose"].joint_change > 2
        and rows["another sound"].joint_change == rows["another sound"].mouth_change == 0.0
    )


def test_quarters_leave_out_what_is_undefined():
    nan = float("nan")
    assert first_and_last(np.array([1.0, 2.0, nan, 4.0])) == "1.000, 1.000, 4.000"
    assert first_and_last(np.array([nan] * 8)) == "nan, nan, nan"


def test_people_are_shown_in_a_square_of_the_profile_and_at_their_own_rate():
    sides = {name: side_of_people(load_profile(name, []).video) for name in ("people", "wan2.1-1.3b", "laptop")}
    assert sides == {"people": 128, "wan2.1-1.3b": 624, "laptop": 64}
    with pytest.raises(BenchmarkError, match=r"video.fps is 25, and rendered people come at 16"):
        side_of_people(load_profile("people", ["video.fps=25"]).video)
