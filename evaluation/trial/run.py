"""Score every damaged video with every metric that can be tried. Steps that are done survive a kill."""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evaluation.metrics.observation.instruments import Instruments
from evaluation.metrics.observation.needs import Need
from evaluation.metrics.observation.observed import Observed
from evaluation.metrics.registry import METRICS
from evaluation.metrics.streaming import ClipMean, StreamingMetric
from evaluation.panel import Panel, measurable
from evaluation.trial.aspects import ASPECTS
from evaluation.trial.ladder import (
    BLUR,
    COLOUR,
    HEAD,
    LOW,
    MIDWAY,
    NOISE,
    NONE,
    PERSON,
    RECONSTRUCTION,
    SOUNDS,
    Step,
)
from evaluation.trial.scenes import RenderedScene, Scene
from media import write_atomically
from people.speech.recordings import RATE

WHOLE = ""  # the clip of a number that is of the whole set
# Networks that cost most look only where what they judge changes, and where it must not move them.
OF_FACES = (NONE, PERSON, MIDWAY, HEAD, BLUR, NOISE, COLOUR, RECONSTRUCTION)
OF_PICTURES = (NONE, BLUR, LOW, NOISE, RECONSTRUCTION)
DEAR = {
    "dlib_face": OF_FACES,
    "arcface": OF_FACES,
    "imagenet": OF_PICTURES,
    "inception": OF_PICTURES,
    "i3d": OF_PICTURES,
}


@dataclass(frozen=True)
class Trial:
    """What came of it.

    Attributes:
        values: step, metric, clip, value; `clip` is empty where the number is of the whole set.
        errors: step, aspect, clip, error: what is truly wrong.
        untried: metric and why, for those that are measured on videos and could not be had.
    """

    values: pd.DataFrame
    errors: pd.DataFrame
    untried: dict[str, str]


def try_metrics(
    scenes: Sequence[Scene],
    steps: Sequence[Step],
    instruments: Instruments,
    work: Path,
    progress: Callable[[int, int, str], None] | None = None,
    aspects: Collection[str] | None = None,
) -> Trial:
    """Damage each scene in each way and score it.

    Args:
        scenes: all of one kind.
        steps: `NONE` among them.
        instruments: what looks; with a cache on disk a picture is read once.
        work: folder where finished steps are kept under everything that they depend on.
        progress: called with (steps done, steps, name).
        aspects: only metrics that are to follow one of these; None is all.
    """
    rendered = all(isinstance(scene, RenderedScene) for scene in scenes)
    has: set[Need] = {"truth_frames", "reference", "sound"}
    if rendered:
        has |= {"person_truth"}
    measured, unmeasured = measurable(instruments, has)
    wanted: Collection[str] = ASPECTS if aspects is None else aspects
    names = [metric.name for metric in measured if METRICS[metric.name].aspect in wanted]
    values: list[dict[str, object]] = []
    errors: list[dict[str, object]] = []
    for done, step in enumerate(steps, start=1):
        asked = asked_of(step, names)
        file = work / f"{_key(scenes, step, asked, instruments)}.json"
        if not file.is_file():
            write_atomically(file, json.dumps(_score(scenes, step, instruments, has, asked)).encode())
        kept = json.loads(file.read_text())
        values += kept["values"]
        errors += kept["errors"]
        if progress is not None:
            progress(done, len(steps), step.name)
    untried = {one.metric: one.reason for one in unmeasured if METRICS[one.metric].aspect in wanted}
    return Trial(pd.DataFrame(values), pd.DataFrame(errors), untried)


def asked_of(step: Step, names: Collection[str]) -> list[str]:
    """The metrics that are scored on a step: where only the sound changes those that a sound can change."""
    if step.family in SOUNDS:
        return [name for name in names if METRICS[name].aspect in ("speech", "sync", "out of sync")]
    return [
        name for name in names if all(step.family in DEAR.get(need, (step.family,)) for need in METRICS[name].needs)
    ]


def _score(
    scenes: Sequence[Scene], step: Step, instruments: Instruments, has: Collection[Need], asked: Collection[str]
) -> dict[str, list[dict[str, object]]]:
    panel, errors = Panel(instruments, has, asked), []
    for scene in scenes:
        video = scene.video(step)
        panel.update(
            Observed(
                scene.name, 16.0, video.frames, instruments,
                real=scene.real, reference=scene.reference, sound=video.sound, sample_rate=RATE, person_truth=video.heard,
            )
        )  # fmt: skip
        errors += [
            {"step": step.name, "aspect": aspect, "clip": scene.name, "error": error}
            for aspect, error in video.errors.items()
        ]
    rows = [
        {"step": step.name, "metric": metric.name, "clip": clip, "value": value}
        for metric in panel.metrics.values()
        for clip, value in _numbers(metric).items()
    ]
    return {"values": rows, "errors": errors}


def _numbers(metric: StreamingMetric) -> dict[str, float]:
    """Of each clip, or of the set where a clip alone has none."""
    return metric.per_clip() if isinstance(metric, ClipMean) else {WHOLE: metric.compute().value}


def _key(scenes: Sequence[Scene], step: Step, asked: Collection[str], instruments: Instruments) -> str:
    pixels = [hashlib.sha256(np.ascontiguousarray(scene.real).data).hexdigest() for scene in scenes]
    networks = [f"{n.architecture} {n.sha256} {n.protocol}" for n in instruments.networks()]
    told = json.dumps([step.name, [scene.name for scene in scenes], pixels, sorted(asked), networks, [*ASPECTS]])
    return hashlib.sha256(told.encode()).hexdigest()[:24]
