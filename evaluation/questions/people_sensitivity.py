"""Does each condition change what it should of rendered people: one is swapped, the rest and the noise stay; read by keypoints and face networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evaluation.benchmark.generate import VideoPipeline
from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.registry import METRICS
from evaluation.panel import Panel
from evaluation.questions.sensitivity import CASES, Case, GivenClips, Progress, sample_case
from evaluation.questions.talking_people import look_at_people, people_video
from people import FPS, Person

# Against the unswapped sample of the same noise, whose first frame stands for the person.
CHANGED = ("mouth_opening_r", "akd", "head_pose_error", "csim", "dlib_face_distance")
# What a swapped condition asks for, against the clip that it came from: of several the first that can be had. A caption names no face.
FOLLOWS = {"audio": ("true_mouth_r",), "pose": ("akd",), "reference": ("csim", "dlib_face_distance")}


@dataclass(frozen=True)
class PeopleSensitivity:
    """One case.

    Attributes:
        title: the case.
        changes: of `CHANGED` what can be had, by name: the sample against the unswapped one.
        follows: name of the metric and its value against the clip that the condition came from; None where nothing is asked for.
        unswapped: the same number of the unswapped sample.
    """

    title: str
    changes: Mapping[str, float]
    follows: tuple[str, float] | None = None
    unswapped: float | None = None


def measure_people_sensitivity(
    pipeline: VideoPipeline,
    instruments: Instruments,
    clips: int,
    frames: int,
    side: int,
    seed: int,
    steps: int | None = None,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> list[PeopleSensitivity]:
    """Sample every case on rendered people of voices and sentences that no training has, all conditions on unless the case says otherwise.

    Args:
        pipeline: the model.
        instruments: what looks; keypoints at least.
        clips: how many people, two or more: what is swapped is the next one's.
        frames: 4n+1.
        side: of the square pictures.
        seed: of the first person; nobody of them must have been trained on.
        steps: sampling steps, None for the model's own.
        batch_size: people at a time.
        progress: called with (cases done, cases, title).

    Raises:
        ValueError: fewer than two clips.
    """
    if clips < 2:
        raise ValueError(f"what is swapped is the next clip's, so there are two or more; got {clips}")
    shown = people_video(clips, 1, frames, side, seed, steps)[1]
    given = GivenClips(
        captions=[person.caption for person in shown],
        reference=_stacked([person.frames[-1] for person in shown]),
        audio=_stacked([np.asarray(person.audio, np.float32) for person in shown]),
        keypoints=_stacked([person.keypoints[:frames] for person in shown]),
        frames=_stacked([person.frames[:frames] for person in shown]),
    )

    def sample(case: Case) -> np.ndarray:
        return np.concatenate(list(sample_case(pipeline, given, case, clips, steps, seed, batch_size)))

    bases = {with_reference: sample(Case("", "", with_reference)) for with_reference in (True, False)}
    rows = []
    for done, case in enumerate(CASES, start=1):
        rows.append(_compare(instruments, case, bases[case.reference], sample(case), shown))
        if progress is not None:
            progress(done, len(CASES), case.title)
    return rows


def _stacked(parts: Sequence[np.ndarray]) -> torch.Tensor:
    return torch.from_numpy(np.stack(parts))


def _compare(
    instruments: Instruments, case: Case, base: np.ndarray, made: np.ndarray, shown: Sequence[Person]
) -> PeopleSensitivity:
    panel = Panel(instruments, {"truth_frames", "reference"}, CHANGED)
    for place, (before, after) in enumerate(zip(base, made, strict=True)):
        panel.update(Observed(str(place), FPS, after, instruments, real=before, reference=before[0]))
    changes = {name: panel.metrics[name].compute().value for name in CHANGED if name in panel.metrics}
    others = [*shown[1:], *shown[:1]]
    asked = FOLLOWS.get(case.swapped, ())
    swapped, unswapped = (look_at_people(instruments, asked, others, videos).metrics for videos in (made, base))
    name = next((name for name in asked if name in swapped), None)
    if name is None:
        return PeopleSensitivity(case.title, changes)
    follows = (name, swapped[name].compute().value)
    return PeopleSensitivity(case.title, changes, follows, unswapped[name].compute().value)


def as_markdown(rows: Sequence[PeopleSensitivity]) -> str:
    """One table; the last two columns say how well the swapped condition was followed, and the same without the swap."""
    names = list(rows[0].changes)
    heads = [f"{METRICS[name].title} with the unswapped" for name in names]
    lines = [
        f"| swapped | {' | '.join(heads)} | follows the given clip | without the swap |",
        "| --- |" + " ---: |" * (len(names) + 2),
    ]
    for row in rows:
        cells = [f"{row.changes[name]:.3f}" for name in names]
        follows = "–" if row.follows is None else f"{row.follows[1]:.3f} ({METRICS[row.follows[0]].title})"
        chance = "–" if row.unswapped is None else f"{row.unswapped:.3f}"
        lines.append(f"| {row.title} | {' | '.join(cells)} | {follows} | {chance} |")
    return "\n".join(lines)
