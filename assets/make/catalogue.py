"""All steps, each after those it reads."""

from assets.core.steps import Step
from assets.kinds.benchmark_scores import BASELINE_COMPARISON, BENCHMARK_SCORES
from assets.kinds.benchmark_sets import BENCHMARK_SETS
from assets.kinds.checkpoints import (
    ADVERSARIAL_IMAGE_STUDENT,
    CONSISTENCY_STUDENT,
    DISTILLED_STUDENT,
    STAGE_1_CHECKPOINT,
    STAGE_2_CHECKPOINT,
    STAGE_3_CHECKPOINT,
)
from assets.kinds.clip_scores import CLIP_SCORES
from assets.kinds.condition_features import CONDITION_FEATURES
from assets.kinds.filtered_subsets import FILTERED_SUBSETS
from assets.kinds.generated_videos import GENERATED_VIDEOS
from assets.kinds.laptop_autoencoder import LAPTOP_AUTOENCODER
from assets.kinds.promotion import PROMOTED_CHAMPION, REGISTERED_MODEL
from assets.kinds.raw_clips import RAW_CLIPS
from assets.kinds.slim_decoder import SLIM_DECODER
from assets.kinds.training_snapshot import TRAINING_SNAPSHOT

FLOW: tuple[Step, ...] = (
    RAW_CLIPS,
    CLIP_SCORES,
    FILTERED_SUBSETS,
    CONDITION_FEATURES,
    TRAINING_SNAPSHOT,
    STAGE_1_CHECKPOINT,
    STAGE_2_CHECKPOINT,
    STAGE_3_CHECKPOINT,
    CONSISTENCY_STUDENT,
    ADVERSARIAL_IMAGE_STUDENT,
    DISTILLED_STUDENT,
    BENCHMARK_SETS,
    GENERATED_VIDEOS,
    BENCHMARK_SCORES,
    BASELINE_COMPARISON,
    REGISTERED_MODEL,
    PROMOTED_CHAMPION,
)
STEPS: dict[str, Step] = {step.name: step for step in (*FLOW, LAPTOP_AUTOENCODER, SLIM_DECODER)}
