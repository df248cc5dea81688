"""The gate of a streaming student: what passes, what does not, and by which number."""

from dataclasses import replace

import pytest

from evaluation.questions.streaming_gate import judge_streaming
from evaluation.questions.streaming_student import OTHER_SOUND, STREAM, TRUTH, WINDOW, StreamingRow
from profiles import load_profile
from profiles.judging import StreamingGate

PARENT = StreamingRow(WINDOW, 0.96, 0.010, 0.50, 0.013, 0.67, 0.0160, 0.0160)
CLOSE = replace(PARENT, made=STREAM, mouth_correlation=0.945, missing_joints=0.0109, joint_error=0.54)
FLOOR = replace(PARENT, made=OTHER_SOUND, mouth_correlation=0.01)
DRAWN = replace(PARENT, made=TRUTH, mouth_correlation=1.0)


def judged(stream, floor=FLOOR, gate=None):
    return judge_streaming([DRAWN, PARENT, stream, floor], gate or StreamingGate())


def test_a_student_as_good_as_its_parent_passes():
    assert judged(CLOSE).promote and len(judged(CLOSE).checks) == 5


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mouth_correlation": 0.93}, "r of the mouth is 0.93, needed at least 0.94"),
        ({"missing_joints": 0.015}, "missing joints is 0.015, needed at most 0.011"),
        ({"joint_error": 0.56}, "joint error, px is 0.56, needed at most 0.55"),
        ({"change_between": 0.018}, "change between over within latents is 1.125, needed at most 1.1"),
        ({"mouth_correlation": float("nan")}, "r of the mouth is nan"),
    ],
)
def test_what_it_lost_is_named(change, reason):
    decision = judged(replace(CLOSE, **change))
    assert not decision.promote and decision.reasons[0].startswith(reason)


def test_a_mouth_that_moves_alike_with_anothers_sound_is_refused():
    deaf = judged(CLOSE, floor=replace(FLOOR, mouth_correlation=0.9))
    assert deaf.reasons == ["r of the mouth over another's sound is 0.045, needed at least 0.5"]


def test_one_that_was_not_measured_stays_challenger():
    assert "no benchmark of puppets" in judge_streaming([], StreamingGate()).reasons[0]


def test_the_bounds_are_the_profiles_and_go_unsaid_where_nobody_chose_them():
    chosen = load_profile("laptop", ["gate.streaming.mouth_correlation_lost=0.05"]).gate
    assert judged(replace(CLOSE, mouth_correlation=0.93), gate=chosen.streaming).promote
    assert "streaming" in chosen.model_dump() and "streaming" not in load_profile("laptop", []).gate.model_dump()
