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
POSE_ALONE = (
    "pose_alone"  # pose and no sound, of people's clips only: what the keypoints of mouth and face do by themselves
)
SHUFFLED_POSE = (
    "shuffled_pose"  # as POSE with another clip's pose, of people's clips only: the floor of what follows a pose
)
MODES = (AUDIO, POSE, SHUFFLED_AUDIO, SECOND_SEED, POSE_ALONE, SHUFFLED_POSE)
OF_PUPPETS = (AUDIO, POSE, SHUFFLED_AUDIO, SECOND_SEED)
SPOKEN = (AUDIO, SHUFFLED_AUDIO, SECOND_SEED)  # not to be had of a silent clip
POSED = (POSE, POSE_ALONE, SHUFFLED_POSE)  # not to be had of a clip without keypoints
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
        benchmark: leaves out the modes that none of its samples can be asked of; None is the puppets'.
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
    # The student alone: in one step a mode costs little.
    more = {STUDENT: (POSE_ALONE, SHUFFLED_POSE)}
    asked = ((model, (*model.modes, *more.get(model.name, ()))) for model in models)
    return tuple(replace(model, modes=tuple(mode for mode in modes if mode in can)) for model, modes in asked)


def scored_sets(plan: Sequence[ModelPlan]) -> list[tuple[str, str]]:
    """Model and mode of everything that is scored, in the order of the rows: the clips themselves, their reconstruction, the models."""
    models = [(model.name, mode) for model in plan for mode in model.modes]
    return [(GROUND_TRUTH, PIXELS), (RECONSTRUCTION, PIXELS), *models]
