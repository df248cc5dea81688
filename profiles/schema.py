"""The shape of a profile. An unknown key is an error; inside the project these values are trusted and typed."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from profiles.scores import ScoresConfig

Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(gt=0)]


class Strict(BaseModel):
    """Immutable, and closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Bucket(Strict):
    """A shape that clips are brought to: pixels, and 4n+1 frames."""

    height: Positive = 64
    width: Positive = 64
    frames: Positive = 17

    @field_validator("frames")
    @classmethod
    def _causal(cls, frames: int) -> int:
        if frames % 4 != 1:
            raise ValueError(f"the causal autoencoder takes 4n+1 frames, got {frames}")
        return frames

    @model_validator(mode="after")
    def _strides(self) -> Self:
        if self.height % 16 or self.width % 16:
            raise ValueError(f"height and width must divide by 16 (stride 8, patch 2), got {self.height}x{self.width}")
        return self

    @property
    def latent_frames(self) -> int:
        """Frame 0 gives latent 0, every four more frames one more latent."""
        return 1 + (self.frames - 1) // 4

    @property
    def frame_tokens(self) -> int:
        """Tokens of one latent frame: stride 8, patch 2."""
        return self.height // 16 * (self.width // 16)


class VideoConfig(Bucket):
    """The main bucket (height, width, frames), rates in frames per second and Hz, and the other buckets, if any."""

    fps: float = 16.0
    sample_rate: Positive = 16_000
    # A reference frame lies at least this many frames outside the training window where the clip allows it
    # (OmniHuman-1.5 section 3: a reference from inside freezes motion). 0 takes any frame of the clip, inside too.
    reference_gap: Annotated[int, Field(ge=0)] = 4
    windows_per_clip: Positive = 4
    # All shapes that are trained on; empty is the main one alone. A clip goes to the nearest in aspect ratio that it fills.
    buckets: tuple[Bucket, ...] = ()
    # Batches of the other buckets hold as many samples as have the main one's tokens, rounded down to a multiple of this
    # times the accumulation steps. The number of ranks must divide it.
    batch_multiple: Positive = 1

    @model_validator(mode="after")
    def _main_is_a_bucket(self) -> Self:
        if self.buckets and self.main not in self.buckets:
            raise ValueError(
                f"buckets must list the main one too, {self.height}x{self.width}x{self.frames}: batch sizes count its samples"
            )
        if len(set(self.buckets)) < len(self.buckets):
            raise ValueError("buckets lists a shape twice")
        return self

    @property
    def main(self) -> Bucket:
        """The shape that height, width and frames give."""
        return Bucket(height=self.height, width=self.width, frames=self.frames)

    @property
    def all_buckets(self) -> tuple[Bucket, ...]:
        """Every shape, in the profile's order."""
        return self.buckets or (self.main,)

    def name_of(self, bucket: Bucket) -> str:
        """For example `64x64x17@16`: height, width, frames, rate."""
        return f"{bucket.height}x{bucket.width}x{bucket.frames}@{self.fps:g}"

    def only(self, bucket: Bucket) -> "VideoConfig":
        """The same rates with one bucket, for code that cuts or encodes one shape."""
        return self.model_copy(update={**bucket.model_dump(include={"height", "width", "frames"}), "buckets": ()})


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


CONDITIONS = ("text", "reference", "audio", "pose")  # weakest first
Condition = Literal["text", "reference", "audio", "pose"]

# OmniHuman-1 is two papers under one number. v2 (Feb 2025) ends with pose at .50; of the others it gives what its ablations
# prefer, reference .70 and audio .50, and for text nothing: .90 is v3's. v3 (ICCV 2025) gives text .90, audio .50 and pose
# .25, and for the reference nothing: .70 is v2's. That makes this project's default the same numbers as v3.
RATIO_PRESETS: dict[str, dict[str, float]] = {
    "paper_v2": {"text": 0.9, "reference": 0.7, "audio": 0.5, "pose": 0.5},
    "paper_v3": {"text": 0.9, "reference": 0.7, "audio": 0.5, "pose": 0.25},
    "default": {"text": 0.9, "reference": 0.7, "audio": 0.5, "pose": 0.25},
}


class Ratios(Strict):
    """The share of eligible samples in which a condition is switched on (OmniHuman-1 section 3.3).

    `preset` fills in the conditions up to `strongest` (all, where it is not given); single numbers beside it win. `nested`
    lets a stronger condition appear with all weaker ones only, which is the paper's rule; without it the draws are independent. `motion`
    is no condition of that order: in that share of the batches all samples that have some see the frames before their
    window, and no other ratio changes.
    """

    preset: Literal["paper_v2", "paper_v3", "default"] | None = None
    strongest: Condition | None = None
    text: Ratio = 0.9
    reference: Ratio = 0.7
    audio: Ratio = 0.0
    pose: Ratio = 0.0
    nested: bool = True
    motion: Ratio = 0.5

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("preset") not in RATIO_PRESETS:
            return values
        last = values.get("strongest")
        allowed = CONDITIONS[: CONDITIONS.index(last) + 1] if last in CONDITIONS else CONDITIONS
        preset = RATIO_PRESETS[values["preset"]]
        return {name: preset[name] if name in allowed else 0.0 for name in CONDITIONS} | values

    @model_validator(mode="after")
    def _fall_with_strength(self) -> Self:
        if self.nested and not self.text >= self.reference >= self.audio >= self.pose:
            raise ValueError(
                "ratios must not grow from text to reference to audio to pose: the stronger the condition, the smaller its "
                "ratio; nested: false draws each by itself"
            )
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
    """How DeepSpeed runs: ranks per node, ZeRO stage, precision, and how often state goes to disk.

    `offload` moves the optimiser's state (ZeRO 1 to 3), or that and the parameters (ZeRO 3), to the host's memory.
    `sequence_parallel` ranks share one sample's tokens (Ulysses). `peak_tflops` is the device's dense peak, for the
    model FLOPs utilisation; where it is not given, a table of known devices is asked. A gradient norm above
    `abnormal_gradient` times the median of the last 64 is noted with its clips.
    """

    ranks: Positive = 1
    hostfile: str | None = None
    zero_stage: Annotated[int, Field(ge=0, le=3)] = 0
    offload: Literal["none", "optimizer", "parameters"] = "none"
    precision: Literal["fp32", "bf16"] = "fp32"
    sequence_parallel: Positive = 1
    gradient_accumulation: Positive = 1
    gradient_clipping: Annotated[float, Field(ge=0.0)] = 1.0
    activation_checkpointing: bool = False
    compile_blocks: bool = False
    checkpoint_every: Positive = 50
    keep_checkpoints: Positive = 2
    nonfinite_limit: Positive = 5
    abnormal_gradient: Annotated[float, Field(gt=1.0)] = 10.0
    peak_tflops: Annotated[float, Field(gt=0.0)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> "EngineConfig":
        if self.precision == "bf16" and self.zero_stage == 0:
            raise ValueError("bf16 needs zero_stage 1 to 3, whose optimisers keep float32 master weights")
        if self.offload == "optimizer" and self.zero_stage == 0:
            raise ValueError("offload: optimizer needs zero_stage 1 to 3")
        if self.offload == "parameters" and self.zero_stage != 3:
            raise ValueError("offload: parameters needs zero_stage 3")
        if self.hostfile is None and self.ranks % self.sequence_parallel:
            raise ValueError(f"{self.ranks} ranks do not divide into groups of sequence_parallel = {self.sequence_parallel}")
        return self


class LoraConfig(Strict):
    """Train low-rank updates of these matrices of the backbone instead of all of it; OmniHuman's new parts train fully."""

    rank: Positive = 16
    alpha: Positive = 16
    targets: tuple[str, ...] = ("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0")


class WatchConfig(Strict):
    """What is looked at while a stage trains: the loss on clips that are never trained on, and sample videos.

    `every` steps and at the end; `samples` per condition set at each quantile of the timestep law; `videos` clips
    sampled in `video_steps` Euler steps, with the same noise each time.
    """

    every: Positive = 200
    samples: Positive = 16
    quantiles: tuple[Ratio, ...] = (0.1, 0.5, 0.9)
    videos: Annotated[int, Field(ge=0)] = 2
    video_steps: Positive = 10


class StageConfig(Strict):
    """One training stage. `batch_size` counts samples of the main bucket per optimiser step over all ranks.

    `image_share` of the batches train on first frames alone, as many of them as have the same number of tokens.
    """

    steps: Positive
    batch_size: Positive = 16
    image_share: Ratio = 0.0
    subset: Literal["text", "audio", "pose"] = "text"
    ratios: Ratios
    optimizer: OptimizerConfig
    warmup_steps: Positive = 20
    decay_to: Ratio = 1.0
    ema_decay: Ratio = 0.995
    timestep_law: Literal["logit_normal", "uniform"] = "logit_normal"
    timestep_shift: float = 1.0
    lora: LoraConfig | None = None
    watch: WatchConfig = WatchConfig()
    seed: int = 0


class GuidanceConfig(Strict):
    """Scales of the teacher's classifier-free guidance, per condition; 1 is none."""

    text: float = 1.0
    audio: float = 1.0


# By the papers' names: APT section 4.2 distils with a constant 7.5, APT2 section 3.2 without guidance.
GUIDANCE = {"apt": {"text": 7.5, "audio": 7.5}, "apt2": {"text": 1.0, "audio": 1.0}}


class ConsistencyConfig(Strict):
    """Discrete consistency distillation (APT section 4.2; the 32 steps are APT2's).

    `guidance` is `apt`, `apt2`, or a scale for each of text and audio.
    """

    steps: Positive
    batch_size: Positive = 16
    grid: Positive = 32
    grid_shift: float = 1.0
    guidance: GuidanceConfig = GuidanceConfig()
    ratios: Ratios
    optimizer: OptimizerConfig
    warmup_steps: Positive = 10
    ema_decay: Ratio = 0.99
    seed: int = 0

    @field_validator("guidance", mode="before")
    @classmethod
    def _by_name(cls, given: object) -> object:
        if isinstance(given, str) and given not in GUIDANCE:
            raise ValueError(f"guidance is {' or '.join(GUIDANCE)}, or scales for text and audio; got {given!r}")
        return GUIDANCE[given] if isinstance(given, str) else given


class ProbeConfig(Strict):
    """What is measured on fixed conditions and noise while the adversaries train."""

    every: Positive = 5
    conditions: Annotated[int, Field(ge=2)] = 4
    seeds: Annotated[int, Field(ge=2)] = 4
    # Euler steps of the teacher's trajectories, made once a run.
    teacher_steps: Positive = 8


class CollapseConfig(Strict):
    """When a run has collapsed. It then goes back to its last good checkpoint and on with other samples and noise.

    Non-finite values count always. At a gap of 10 the discriminator's loss is below 1e-4: it has won, and what the
    generator still hears is the direction of one hyperplane. Diversity is that across seeds or prompts, whichever is
    smaller, as a share of its value at the start of the phase.
    """

    gap_limit: Annotated[float, Field(gt=0.0)] = 10.0
    gap_updates: Positive = 20
    diversity_min: Ratio = 0.5
    max_rollbacks: Annotated[int, Field(ge=0)] = 2


class AdversarialConfig(Strict):
    """One phase of adversarial post-training (APT section 4, APT2 section 3.3).

    Attributes:
        steps: updates of the generator; each follows one of the discriminator.
        critic_warmup: updates of the discriminator alone before them.
        batch_size: samples per update over all ranks and accumulation steps.
        gradient_accumulation: of this phase; None is the engine's.
        penalty_weight: lambda of the approximated R1 (and R2); 0 trains without, and still records them.
        penalty_sigma: size of the perturbation.
        timestep_shift: s of the discriminator's timestep: 1 for images, 12 for videos.
        heads: `apt` reads at 16/36, 26/36 and 36/36 of the depth, `last` at the last block only (APT's ablation).
        discriminator_from: the original diffusion weights, or (APT's ablation) the distilled generator's.
        generator_from: the parent checkpoint, or the diffusion weights: no consistency initialisation.
    """

    steps: Positive
    critic_warmup: Annotated[int, Field(ge=0)] = 0
    batch_size: Positive = 16
    gradient_accumulation: Positive | None = None
    objective: Literal["non_saturating", "relativistic"] = "non_saturating"
    penalty_weight: Annotated[float, Field(ge=0.0)] = 100.0
    penalty_sigma: Annotated[float, Field(gt=0.0)] = 0.1
    timestep_shift: Annotated[float, Field(gt=0.0)] = 12.0
    heads: Literal["apt", "last"] = "apt"
    discriminator_from: Literal["diffusion", "distilled"] = "diffusion"
    generator_from: Literal["parent", "diffusion"] = "parent"
    generator: OptimizerConfig
    discriminator: OptimizerConfig
    ema_decay: Ratio = 0.995
    ratios: Ratios
    probe: ProbeConfig = ProbeConfig()
    collapse: CollapseConfig = CollapseConfig()
    seed: int = 0


class CurationConfig(Strict):
    """Scores, and predicates over their columns (docs/scores.md). Each subset also needs the ones before it.

    `held_out_share` of all clips, by their ids, are never trained on: the held-out loss is measured on them.
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


class EvaluationConfig(Strict):
    """The held-out benchmark and how each model samples on it."""

    clips: Positive = 96
    seed: int = 50_000_000
    batch_size: Positive = 16
    teacher_steps: Positive = 20
    guidance_scale: float = 1.0
    bootstrap: Positive = 500


class GateConfig(Strict):
    """What a challenger must reach before it becomes champion.

    Attributes:
        champion_margin: share of a threshold by which it may be worse than the champion.
        headline: on this metric it must be better than the champion, beyond the champion's interval; None asks no such thing.
        slice_slack: share of a threshold by which a slice of the benchmark may miss it.
    """

    mouth_correlation_min: float
    missing_joints_max: float
    colour_error_max: float
    joint_error_max: float
    champion_margin: float = 0.02
    headline: Literal["mouth_correlation", "missing_joints", "colour_error", "joint_error_median"] | None = "missing_joints"
    slice_slack: Annotated[float, Field(ge=0.0)] = 0.25


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
    """Training on from the champion's teacher instead of from scratch: what is then stage 3 (docs/orchestration.md).

    Attributes:
        steps: of the stage, instead of stage_3's.
        rate_factor: on stage_3's learning rates; warm-up and decay stay stage_3's.
        growth_max: new usable hours of a condition over the champion's, above which the nightly schedule trains from scratch.
    """

    steps: Positive
    rate_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.3
    growth_max: Annotated[float, Field(gt=0.0)] = 0.5


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
    refresh: RefreshConfig = RefreshConfig()
    continuation: ContinuationConfig | None = None
    demo: DemoConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _each_stage_adds_one_condition(cls, values: Any) -> Any:
        """A stage takes a preset up to its own strongest condition: reference, audio, pose (OmniHuman-1 section 3.3)."""
        filled = dict(values) if isinstance(values, dict) else {}
        for name, strongest in (("stage_1", "reference"), ("stage_2", "audio"), ("stage_3", "pose")):
            stage = filled.get(name)
            if isinstance(stage, dict) and isinstance(stage.get("ratios"), dict) and stage["ratios"].get("preset"):
                filled[name] = {**stage, "ratios": {"strongest": strongest, **stage["ratios"]}}
        return filled or values
