"""The shape of a profile. An unknown key is an error; inside the project these values are trusted and typed."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from profiles.scores import ScoresConfig

Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    """Immutable, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VideoConfig(Strict):
    """The bucket that clips are brought to. Pixels, frames per second, Hz."""

    height: Positive = 64
    width: Positive = 64
    frames: Positive = 17
    fps: float = 16.0
    sample_rate: Positive = 16_000
    # A reference frame lies at least this many frames outside the training window where the clip allows it
    # (OmniHuman-1.5 section 3: a reference from inside freezes motion).
    reference_gap: Positive = 4
    windows_per_clip: Positive = 4

    @field_validator("frames")
    @classmethod
    def _causal(cls, frames: int) -> int:
        if frames % 4 != 1:
            raise ValueError(f"the causal autoencoder takes 4n+1 frames, got {frames}")
        return frames

    @model_validator(mode="after")
    def _strides(self) -> "VideoConfig":
        if self.height % 16 or self.width % 16:
            raise ValueError(f"height and width must divide by 16 (stride 8, patch 2), got {self.height}x{self.width}")
        return self

    @property
    def latent_frames(self) -> int:
        """Frame 0 gives latent 0, every four more frames one more latent."""
        return 1 + (self.frames - 1) // 4


class EncoderConfig(Strict):
    """Where the frozen encoders come from: a local folder, `package:NAME/SUBFOLDER` of an installed package, or a hub id."""

    autoencoder: str
    text: str
    text_tokens: Positive = 32
    audio: str
    # "puppet" reads the puppets' coloured joints, "mediapipe" is the packaged detector of real people; otherwise the
    # folder of a COCO-WholeBody-133 detector's two ONNX files (DWPose, RTMW).
    keypoints: str = "puppet"


class TransformerConfig(Strict):
    """Wan's own sizes and OmniHuman's new parts. With `base`, Wan's sizes come from that checkpoint."""

    base: str | None = None
    num_layers: Positive = 6
    num_attention_heads: Positive = 6
    attention_head_dim: Positive = 32
    ffn_dim: Positive = 768
    text_dim: Positive = 384
    freq_dim: Positive = 256
    rope_max_seq_len: Positive = 1024
    audio_dim: Positive = 64
    audio_layers: Positive = 4
    audio_window: Annotated[int, Field(ge=0)] = 1
    audio_blocks: tuple[int, ...] | None = None
    pose_keypoints: tuple[int, ...] = (7, 8, 9, 10)
    pose_channels: Positive = 16
    reference_position: Literal["far", "zero"] = "far"
    reference_index: Positive = 30


class Ratios(Strict):
    """The share of eligible samples in which a condition is switched on (OmniHuman-1 section 3.3)."""

    text: Ratio = 0.9
    reference: Ratio = 0.7
    audio: Ratio = 0.0
    pose: Ratio = 0.0

    @model_validator(mode="after")
    def _fall_with_strength(self) -> "Ratios":
        if not self.text >= self.reference >= self.audio >= self.pose:
            raise ValueError("ratios must not grow from text to reference to audio to pose: the stronger the condition, the smaller its ratio")
        return self


class OptimizerConfig(Strict):
    """`lr` is Muon's for matrices when `name` is muon; `adam_lr` is then that of everything else."""

    name: Literal["adamw", "rmsprop", "muon"] = "adamw"
    lr: float = 5e-5
    adam_lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0


class EngineConfig(Strict):
    """How DeepSpeed runs: ranks per node, ZeRO stage, precision, and how often state goes to disk."""

    ranks: Positive = 1
    hostfile: str | None = None
    zero_stage: Annotated[int, Field(ge=0, le=3)] = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    gradient_accumulation: Positive = 1
    gradient_clipping: Annotated[float, Field(ge=0.0)] = 1.0
    activation_checkpointing: bool = False
    checkpoint_every: Positive = 50
    keep_checkpoints: Positive = 2
    nonfinite_limit: Positive = 5


class StageConfig(Strict):
    """One training stage. `batch_size` counts samples per optimiser step over all ranks."""

    steps: Positive
    batch_size: Positive = 16
    subset: Literal["text", "audio", "pose"] = "text"
    ratios: Ratios
    optimizer: OptimizerConfig
    warmup_steps: Positive = 20
    decay_to: Ratio = 1.0
    ema_decay: Ratio = 0.995
    timestep_law: Literal["logit_normal", "uniform"] = "logit_normal"
    timestep_shift: float = 1.0
    seed: int = 0


class ConsistencyConfig(Strict):
    """Discrete consistency distillation (APT section 4.2; the 32 steps are APT2's)."""

    steps: Positive
    batch_size: Positive = 16
    grid: Positive = 32
    grid_shift: float = 1.0
    guidance_scale: float = 1.0
    ratios: Ratios
    optimizer: OptimizerConfig
    warmup_steps: Positive = 10
    ema_decay: Ratio = 0.99
    seed: int = 0


class AdversarialConfig(Strict):
    """One phase of adversarial post-training (APT section 4, APT2 section 3.3)."""

    steps: Positive
    critic_warmup: Annotated[int, Field(ge=0)] = 0
    batch_size: Positive = 16
    objective: Literal["non_saturating", "relativistic"] = "non_saturating"
    penalty_weight: float = 100.0
    penalty_sigma: float = 0.1
    timestep_shift: float = 12.0
    generator: OptimizerConfig
    discriminator: OptimizerConfig
    ema_decay: Ratio = 0.995
    ratios: Ratios
    seed: int = 0


class CurationConfig(Strict):
    """Scores, and predicates over their columns (docs/curation.md). Each subset also needs the ones before it."""

    shard_clips: Positive = 1024
    min_seconds: float = 1.0625
    scores: ScoresConfig = ScoresConfig()
    text: str
    audio: str
    pose: str


class EvaluationConfig(Strict):
    """The held-out benchmark and how each model samples on it."""

    clips: Positive = 96
    seed: int = 50_000_000
    batch_size: Positive = 16
    teacher_steps: Positive = 20
    guidance_scale: float = 1.0
    bootstrap: Positive = 500


class GateConfig(Strict):
    """What a challenger must reach before it becomes champion."""

    mouth_correlation_min: float
    missing_joints_max: float
    colour_error_max: float
    joint_error_max: float
    champion_margin: float = 0.02


class DemoConfig(Strict):
    """The corpus that `make demo` renders into the inbox. `broken` puppets each break one rule."""

    clean: Annotated[int, Field(ge=0)] = 1280
    broken_per_kind: Annotated[int, Field(ge=0)] = 16
    seed: int = 1
    frames: Positive = 25


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
    demo: DemoConfig | None = None
