"""May a streaming student become champion of its own name? It is held against the one-step student that it comes from, and against its own floor."""

import math
from collections.abc import Sequence

from evaluation.questions.streaming_student import OTHER_SOUND, STREAM, WINDOW, StreamingRow
from evaluation.scoring.gate import Check, Decision
from profiles.judging import StreamingGate


def judge_streaming(rows: Sequence[StreamingRow], gate: StreamingGate) -> Decision:
    """Judge by the rows of `compare_streaming`. Pure: the same rows give the same decision.

    Args:
        rows: of one benchmark; none where the profile has no benchmark whose truth is known.
        gate: `gate.streaming` of the profile.
    """
    made = {row.made: row for row in rows}
    if not {WINDOW, STREAM, OTHER_SOUND} <= made.keys():
        absent = "it was not measured: the profile has no benchmark of puppets"
        checks = [Check("measured", 0.0, 1.0, False, absent)]
    else:
        checks = _checks(made[WINDOW], made[STREAM], made[OTHER_SOUND], gate)
    reasons = [check.message for check in checks if not check.passed]
    return Decision(promote=not reasons, reasons=reasons, checks=checks)


def _checks(parent: StreamingRow, stream: StreamingRow, floor: StreamingRow, gate: StreamingGate) -> list[Check]:
    r = stream.mouth_correlation
    return [
        _at_least("r of the mouth", r, parent.mouth_correlation - gate.mouth_correlation_lost),
        _at_least("r of the mouth over another's sound", r - floor.mouth_correlation, gate.mouth_over_floor),
        _at_most("missing joints", stream.missing_joints, gate.joints * parent.missing_joints),
        _at_most("joint error, px", stream.joint_error, gate.joints * parent.joint_error),
        _at_most("change between over within latents", _seam(stream), gate.seam * _seam(parent)),
    ]


def _seam(row: StreamingRow) -> float:
    return row.change_between / row.change_within if row.change_within else math.inf


def _at_least(name: str, value: float, bound: float) -> Check:
    return Check(name, value, bound, value >= bound, f"{name} is {value:.4g}, needed at least {bound:.4g}")


def _at_most(name: str, value: float, bound: float) -> Check:
    return Check(name, value, bound, value <= bound, f"{name} is {value:.4g}, needed at most {bound:.4g}")
