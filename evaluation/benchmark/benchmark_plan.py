"""Which models are judged, under which conditions, in how many steps. Names are the folders of `generated_videos`."""

from dataclasses import dataclass

from profiles.schema import EvaluationConfig

# What the model is given. Every mode gives the caption and the reference frame.
AUDIO = "audio"  # sound, no pose
POSE = "pose"  # sound and pose
SHUFFLED_AUDIO = "shuffled_audio"  # another clip's sound: the floor of mouth correlation
SECOND_SEED = "second_seed"  # as AUDIO with other noise, on the first clips only: diversity
MODES = (AUDIO, POSE, SHUFFLED_AUDIO, SECOND_SEED)
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


def generation_plan(config: EvaluationConfig) -> tuple[ModelPlan, ...]:
    """The models that generate videos, in the order of the comparison's rows.

    Floors and diversity are asked only of the models that the comparison is about: on a CPU, decoding pixels is most of
    the time, and each mode costs as much as the next.
    """
    steps = config.teacher_steps
    return (
        ModelPlan(TEACHER, f"teacher, {steps} steps", (AUDIO, POSE, SHUFFLED_AUDIO, SECOND_SEED), steps),
        ModelPlan(ONE_STEP_TEACHER, "teacher, 1 step, not distilled", (AUDIO, POSE), 1),
        ModelPlan(CONSISTENCY_STUDENT, "consistency student, 1 step", (AUDIO, POSE), None),
        ModelPlan(STUDENT, "distilled student, 1 step", (AUDIO, POSE, SECOND_SEED), None),
    )
