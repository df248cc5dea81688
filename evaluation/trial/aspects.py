"""Aspects of a video that metrics are meant to follow, and how wrong a damaged video truly is in each of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from evaluation.metrics.people.truth.against_truth import away, eye_distance
from evaluation.metrics.people.truth.blinks import SHUT
from evaluation.metrics.people.truth.hands_and_body import JOINTS, ONE_HAND, SEEN, SHOULDERS, hand_shown
from evaluation.metrics.person_truth import PersonTruth
from evaluation.metrics.wholebody import FACE
from evaluation.trial.ladder import (
    BLUR,
    DROPS,
    FADING,
    FLICKER,
    LATE,
    LOW,
    MIDWAY,
    NONE,
    PERSON,
    SHOWN,
    SMEAR,
    SOUND_LATE,
    SOUNDS,
    Step,
    finest_detail,
)
from media.keypoints.head_pose import angle_between, head_angles
from media.speech.mouth_and_sound import correlation


@dataclass(frozen=True)
class Aspect:
    """What the true error is, and the families of damage over whose videos a metric must follow it."""

    error: str
    families: tuple[str, ...]


ASPECTS: Mapping[str, Aspect] = {
    "mouth": Aspect("1 - r of the opening that is shown and that of the clip", SHOWN),
    "speech": Aspect("1 - r of the opening that is shown and that of the given sound", (*SHOWN, *SOUNDS)),
    "sync": Aspect("frames between picture and sound", (NONE, LATE, SOUND_LATE)),
    "out of sync": Aspect("1 where picture and sound are frames apart", (NONE, LATE, SOUND_LATE)),
    "identity": Aspect("share of the frames that show somebody else", SHOWN),
    "identity drift": Aspect("somebody else at the end", SHOWN),
    "face points": Aspect("mean distance of 68 points, eye distances", SHOWN),
    "keypoints": Aspect("mean distance of all points in the picture, px", SHOWN),
    "joints": Aspect("mean distance of nose to wrists, shoulder widths", SHOWN),
    "gone joints": Aspect("share of the joints to be seen that are not drawn in view", SHOWN),
    "head": Aspect("degrees of the turn between both heads", SHOWN),
    "hands": Aspect("mean distance of the hands' points, hand sizes", SHOWN),
    "smeared hands": Aspect("blur over the hand's size", (NONE, SMEAR)),
    "hand motion": Aspect("less variance of the hands' points, px²", SHOWN),
    "motion": Aspect("less speed of face and joints, heights a second", SHOWN),
    "blinks": Aspect("share of the frames whose lids are wrongly shut or open", SHOWN),
    "detail": Aspect("pixels that the finest detail takes", (NONE, BLUR, LOW)),
    "flicker": Aspect("most that a frame's gain is off", (NONE, FLICKER)),
    "fading": Aspect("share of the light that is gone at the end", (NONE, FADING)),
}
# Of a clip whose truth nobody knows: the damage whose strength is the error.
OF_FILM: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("mouth", "keypoints", "head"), (NONE, LATE, PERSON)),
    "identity": (NONE, LATE, DROPS, PERSON, MIDWAY),
    "identity drift": (NONE, LATE, DROPS, PERSON, MIDWAY),
    "motion": (NONE, DROPS),
    "hand motion": (NONE, DROPS),
    **{name: ASPECTS[name].families for name in ("detail", "flicker", "fading")},
}
FARTHER = 10.0  # than any lateness: another person's clip


def errors_of_step(step: Step, height: int) -> dict[str, float]:
    """What follows from the damage alone."""
    family, strength = step.family, step.strength
    return {
        "sync": strength if family in (LATE, SOUND_LATE) else 0.0,
        "out of sync": float(family in (LATE, SOUND_LATE)),
        "identity": {PERSON: 1.0, MIDWAY: 0.5}.get(family, 0.0),
        "identity drift": float(family == MIDWAY),
        "smeared hands": strength if family == SMEAR else 0.0,
        "detail": finest_detail(step, height),
        "flicker": strength if family == FLICKER else 0.0,
        "fading": strength if family == FADING else 0.0,
    }


def errors_of_film(step: Step, frames: int, height: int) -> dict[str, float]:
    """Of a clip without a truth: how strong the damage is, in the order in which it must be read."""
    off = step.strength if step.family == LATE else FARTHER if step.family == PERSON else 0.0
    stands = 1 - 1 / min(step.strength, frames) if step.family == DROPS else 0.0
    return errors_of_step(step, height) | {
        "mouth": off, "keypoints": off, "head": off, "motion": stands, "hand motion": stands,
    }  # fmt: skip


def errors_of_truth(shown: PersonTruth, asked: PersonTruth, heard: PersonTruth, height: int) -> dict[str, float]:
    """How far what is shown is from what was asked for.

    Args:
        shown: what is true of the damaged video.
        asked: of the clip itself.
        heard: of the clip whose sound was given, from the sound's first sample on.
        height: of the picture; its width too.

    Returns:
        By aspect; NaN where the clip has nothing of it, as hands out of view.
    """
    eyes = float(np.median(eye_distance(asked.keypoints[:, FACE])))
    apart = away(shown.keypoints, asked.keypoints)
    inside = asked.keypoints[..., 2] > 0
    shoulders = float(np.median(away(*(asked.keypoints[:, k] for k in SHOULDERS))))
    joints = asked.keypoints[:, JOINTS, 2] == SEEN
    poses = [head_angles(truth.keypoints, height, height, -1.0) for truth in (shown, asked)]
    return {
        "mouth": 1 - _followed(shown.opening, asked.opening),
        "speech": 1 - _followed(shown.opening, heard.opening),
        "face points": float(apart[:, FACE].mean()) / eyes,
        "keypoints": float(apart[inside].mean()),
        "joints": _mean(apart[:, JOINTS][joints]) / shoulders,
        "gone joints": _mean((shown.keypoints[:, JOINTS, 2] != SEEN)[joints]),
        "head": float(angle_between(*poses).mean()),
        "hands": _hands_apart(shown.keypoints, asked.keypoints),
        "hand motion": -_hand_variance(shown.keypoints),
        "motion": -float(away(shown.keypoints[1:, :91], shown.keypoints[:-1, :91]).mean()) / height,
        "blinks": float(((shown.lids > SHUT) != (asked.lids > SHUT)).mean()),
    }


def _followed(shown: np.ndarray, asked: np.ndarray) -> float:
    """r, 0 where what is shown stands still."""
    r = correlation(shown, asked)
    return 0.0 if np.isnan(r) else r


def _hands_apart(shown: np.ndarray, asked: np.ndarray) -> float:
    values = []
    for hand in ONE_HAND:
        there = hand_shown(asked[:, hand])
        if there.any():
            points = asked[there, hand, :2]
            size = np.median((points.max(axis=1) - points.min(axis=1)).max(axis=1))
            values.append(away(shown[:, hand], asked[:, hand])[there].mean() / size)
    return float(np.mean(values)) if values else float("nan")


def _hand_variance(points: np.ndarray) -> float:
    values = [points[hand_shown(points[:, hand]), hand, :2] for hand in ONE_HAND]
    values = [value for value in values if len(value) >= 2]
    return float(np.mean([value.var(axis=0).sum(axis=-1).mean() for value in values])) if values else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
