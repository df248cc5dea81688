"""The shape of a profile. An unknown key is an error; inside the project these values are trusted and typed.

Its larger parts have modules of their own; all their names are here.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from profiles.base import Device, Positive, Ratio, Strict
from profiles.conditions import CONDITIONS, STRONGEST
from profiles.distillation import (
    AdversarialConfig,
    CollapseConfig,
    ConsistencyConfig,
    GuidanceConfig,
    ProbeConfig,
    SlimDecoderConfig,
    StreamingConfig,
)
from profiles.judging import PUPPETS, Criterion, EvaluationConfig, GateConfig, JudgesConfig, SamplingConfig
from profiles.networks import EncoderConfig, TransformerConfig
from profiles.scores import ScoresConfig
from profiles.stages import (
    RATIO_PRESETS,
    EngineConfig,
    LoraConfig,
    OptimizerConfig,
    Ratios,
    StageConfig,
    WatchConfig,
)
from profiles.video import Bucket, VideoConfig

__all__ = [
    "CONDITIONS", "RATIO_PRESETS", "AdversarialConfig", "Bucket", "CollapseConfig", "ConsistencyConfig", "Criterion", "CurationConfig",
    "DemoConfig", "EncoderConfig", "EngineConfig", "EvaluationConfig", "GateConfig", "GuidanceConfig", "JudgesConfig", "LoraConfig", "OptimizerConfig", "ProbeConfig",
    "Profile", "Ratios", "RefreshConfig", "SamplingConfig", "ScoresConfig", "SlimDecoderConfig", "StageConfig", "StreamingConfig", "TransformerConfig", "VideoConfig", "WatchConfig",
]  # fmt: skip


class CurationConfig(Strict):
    """Scores, and predicates over their columns (docs/guide/choosing-clips.md). Each subset also needs the ones before it.

    `held_out_share` of all clips, by their ids, are never trained on: the held-out loss is measured on them. With `silent_pose` a clip need not
    be in the audio subset to train pose: people who are filmed without sound, or talk off camera, still show how a body moves. The paper nests
    the subsets (OmniHuman-1 section 3.3), and so does everything without it.

    Attributes:
        encoding_gib: what the autoencoder may hold of the windows that it encodes at once, beside the encoders' weights: 2 windows of 480p and 81
            frames, and never more than 16. No part of any asset's version.
        device: where torch's networks of scores compute, in the processes that look at clips: `cpu`, `cuda:1` and so on; of `cuda` and `auto`
            each process takes one of the GPUs, and `auto` the processor where there is none. No part of any asset's version.
    """

    shard_clips: Positive = 1024
    held_out_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.02
    min_seconds: float = 1.0625
    scores: ScoresConfig = ScoresConfig()
    # Where a file with cuts is split: by the change of content, by TransNet V2 (extra `shots`), or not at all.
    shots: Literal["content", "transnetv2", "none"] = "content"
    # The share of a table's rows that may break its contract before whatever reads the table is held up.
    violations_max: Ratio = 0.01
    text: str
    audio: str
    pose: str
    silent_pose: bool = False
    encoding_gib: Annotated[float, Field(gt=0.0)] = 8.0
    device: Device = "cpu"


class RefreshConfig(Strict):
    """When the nightly schedule trains anew; measured against the snapshot that the champion was trained on.

    Attributes:
        growth_min: new usable hours of a condition over the champion's, from which on it is worth a training.
        psi_max: population stability index of a score column above which new clips count as drifted; 0.1 and 0.25 are
            credit scoring's usual bounds for a slight and a large change.
        ks_max: the same for the Kolmogorov-Smirnov distance.
        significance: of one column's test, divided by the number of columns: few new clips differ by chance.
        min_clips: new clips below which drift is not judged.
    """

    growth_min: Annotated[float, Field(gt=0.0)] = 0.05
    psi_max: Annotated[float, Field(gt=0.0)] = 0.2
    ks_max: Ratio = 0.1
    significance: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.01
    min_clips: Positive = 30


class ContinuationConfig(Strict):
    """Training on from the champion's teacher instead of from scratch: what is then stage 3 (docs/guide/running.md).

    Attributes:
        steps: of the stage, instead of stage_3's.
        rate_factor: on stage_3's learning rates; warm-up and decay stay stage_3's.
        growth_max: new usable hours of a condition over the champion's, above which the nightly schedule trains from scratch.
    """

    steps: Positive
    rate_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    growth_max: Annotated[float, Field(gt=0.0)] = 0.5


class DemoConfig(Strict):
    """The corpus that `make demo` renders into the inbox: `clean` clips, and `broken_per_kind` of each kind that breaks one rule.

    Attributes:
        world: of puppets, or of rendered people at the size of the main bucket.
        frames: of each clip; of people 4n + 1.
    """

    world: Literal["puppets", "people"] = "puppets"
    clean: Annotated[int, Field(ge=0)] = 1280
    broken_per_kind: Annotated[int, Field(ge=0)] = 16
    seed: int = 1
    frames: Positive = 25

    @model_serializer(mode="wrap")
    def _as_before_there_were_worlds(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Puppets go unsaid: what was made of them stays current."""
        return {key: value for key, value in values(self).items() if (key, value) != ("world", "puppets")}


class ReportsConfig(Strict):
    """HTML reports and the pictures of assets' pages; no part of any asset's result.

    Attributes:
        blur_faces: hide faces in pictures of clips, and a picture in which no face is found as a whole. Pages that stand are not changed.
    """

    blur_faces: bool = False


class Profile(Strict):
    """One whole configuration: sizes, encoders, stages, distillation, evaluation, gate."""

    name: str
    video: VideoConfig
    encoders: EncoderConfig
    transformer: TransformerConfig
    curation: CurationConfig
    engine: EngineConfig
    stage_1: StageConfig
    stage_2: StageConfig
    stage_3: StageConfig
    consistency: ConsistencyConfig
    adversarial_images: AdversarialConfig
    adversarial_videos: AdversarialConfig
    evaluation: EvaluationConfig
    gate: GateConfig
    refresh: RefreshConfig = RefreshConfig()
    reports: ReportsConfig = ReportsConfig()
    continuation: ContinuationConfig | None = None
    slim_decoder: SlimDecoderConfig | None = None
    streaming: StreamingConfig | None = None
    demo: DemoConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _each_stage_adds_one_condition(cls, values: Any) -> Any:
        """A stage takes a preset up to its own strongest condition: reference, audio, pose (OmniHuman-1 section 3.3)."""
        filled = dict(values) if isinstance(values, dict) else {}
        for name, strongest in STRONGEST.items():
            stage = filled.get(name)
            if isinstance(stage, dict) and isinstance(stage.get("ratios"), dict) and stage["ratios"].get("preset"):
                filled[name] = {**stage, "ratios": {"strongest": strongest, **stage["ratios"]}}
        return filled or values

    @model_validator(mode="before")
    @classmethod
    def _criteria_are_about_the_first_benchmark(cls, values: Any) -> Any:
        """A criterion that names no benchmark."""
        filled = dict(values) if isinstance(values, dict) else {}
        gate, evaluation = filled.get("gate"), filled.get("evaluation")
        if isinstance(gate, dict) and isinstance(gate.get("criteria"), dict) and isinstance(evaluation, dict):
            listed = evaluation.get("benchmarks") or [PUPPETS]
            criteria = {
                name: {"benchmark": listed[0], **criterion} if isinstance(criterion, dict) else criterion
                for name, criterion in gate["criteria"].items()
            }
            filled["gate"] = {**gate, "criteria": criteria}
        return filled or values

    @model_validator(mode="after")
    def _as_many_states_as_are_heard(self) -> Self:
        states, layers = self.encoders.audio_states, self.transformer.audio_layers
        if states is not None and len(states) != layers:
            raise ValueError(
                f"encoders.audio_states lists {len(states)} hidden states, and transformer.audio_layers is {layers}: they must agree"
            )
        return self

    @model_validator(mode="after")
    def _criteria_are_about_listed_benchmarks(self) -> Self:
        listed = self.evaluation.benchmarks
        for name, criterion in self.gate.criteria.items():
            if criterion.benchmark not in listed:
                raise ValueError(
                    f"gate.criteria.{name} is about benchmark {criterion.benchmark or '(none)'}, which evaluation.benchmarks does not list: {', '.join(listed)}"
                )
        return self
