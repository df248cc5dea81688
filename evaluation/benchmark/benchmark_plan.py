"""Which models are judged, under which conditions, in how many steps. Names are the folders of `generated_videos`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from profiles.schema import EvaluationConfig

# What the model is given. Every mode gives the caption and the reference frame.
AUDIO = "audio"  # sound, no pose
POSE = "pose"  # pose, and sound where the clip has some
SHUFFLED_AUDIO = "shuffled_audio"  # another clip's sound: the floor of mouth correlation
SECOND_SEED = "second_seed"  # as AUDIO with other noise, on the first clips only: diversity
MODES = (AUDIO, POSE, SHUFFLED_AUDIO, SECOND_SEED)
SPOKEN = (AUDIO, SHUFFLED_AUDIO, SECOND_SEED)  # not to be had of a silent clip
PIXELS = "pixels"  # nothing generated: the clips' own pixels, or their reconstruction
OTHER_IDENTITY = "other_identity"  # the clips' own pixels against another clip's reference: the floor of colour error

GROUND_TRUTH = "ground_truth"
RECONSTRUCTION = "reconstruction"
TEACHER = "teacher"
ONE_STEP_TEACHER = "teacher_one_step"
CONSISTENCY_STUDENT = "consistency_student"
STUDENT = "distilled_student"

# Diversity needs few clips; generating it on all would add a quarter to the teacher's time.
SECOND_SEED_BATCHES = 2


@dataclass(frozen=True)
class ModelPlan:
    """How one model is sampled. `steps` None leaves steps and guidance to the pipeline, as a student wants."""

    name: str
    title: str
    modes: tuple[str, ...]
    steps: int | None


class Driven(Protocol):
    """What says which modes a benchmark's samples can be asked of."""

    def driven_by(self, mode: str) -> tuple[int, ...]: ...


def generation_plan(config: EvaluationConfig, benchmark: Driven | None = None) -> tuple[ModelPlan, ...]:
    """The models that generate videos, in the order of the comparison's rows.

    Floors and diversity are asked only of the models that the comparison is about: on a CPU, decoding pixels is most of
    the time, and each mode costs as much as the next.

    Args:
        config: steps of the teacher.
        benchmark: leaves out the modes that none of its samples can be asked of; None leaves out none.
    """
    steps = config.teacher_steps
    models = (
        ModelPlan(TEACHER, f"teacher, {steps} steps", (AUDIO, POSE, SHUFFLED_AUDIO, SECOND_SEED), steps),
        ModelPlan(ONE_STEP_TEACHER, "teacher, 1 step, not distilled", (AUDIO, POSE), 1),
        ModelPlan(CONSISTENCY_STUDENT, "consistency student, 1 step", (AUDIO, POSE), None),
        ModelPlan(STUDENT, "distilled student, 1 step", (AUDIO, POSE, SECOND_SEED), None),
    )
    if benchmark is None:
        return models
    can = {mode for mode in MODES if benchmark.driven_by(mode)}
    return tuple(replace(model, modes=tuple(mode for mode in model.modes if mode in can)) for model in models)


def scored_sets(plan: Sequence[ModelPlan]) -> list[tuple[str, str]]:
    """Model and mode of everything that is scored, in the order of the rows: the clips themselves, their reconstruction, the models."""
    models = [(model.name, mode) for model in plan for mode in model.modes]
    return [(GROUND_TRUTH, PIXELS), (RECONSTRUCTION, PIXELS), *models]
