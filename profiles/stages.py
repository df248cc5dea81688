"""How a stage trains: conditions and their ratios, optimiser, engine, what is watched."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from profiles.base import Positive, Ratio, Strict
from profiles.conditions import CONDITIONS, ConditionName, SubsetName

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
    strongest: ConditionName | None = None
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
        ratios = [getattr(self, name) for name in CONDITIONS]
        if self.nested and any(stronger > weaker for weaker, stronger in pairwise(ratios)):
            raise ValueError(
                f"ratios must not grow from {' to '.join(CONDITIONS)}: the stronger the condition, the smaller its "
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
    """How DeepSpeed runs: ranks per node, ZeRO stage, precision, and how often state goes to disk: every so many steps, and where those
    take longer, every so many minutes.

    `micro_batch` samples of the main bucket go through a rank in one pass; how many passes an update has then follows from its batch and the
    ranks, so that one profile trains on any number of them that divides it. `gradient_accumulation` states the passes instead.
    `offload` moves the optimiser's state (ZeRO 1 to 3), or that and the parameters (ZeRO 3), to the host's memory.
    `sequence_parallel` ranks share one sample's tokens (Ulysses). `peak_tflops` is the device's dense peak, for the
    model FLOPs utilisation; where it is not given, a table of known devices is asked. A gradient norm above
    `abnormal_gradient` times the median of the last 64 is noted with its clips. So many micro-batches as `prefetch` says are loaded ahead.
    """

    ranks: Positive = 1
    hostfile: str | None = None
    zero_stage: Annotated[int, Field(ge=0, le=3)] = 0
    offload: Literal["none", "optimizer", "parameters"] = "none"
    precision: Literal["fp32", "bf16"] = "fp32"
    sequence_parallel: Positive = 1
    micro_batch: Positive | None = None
    gradient_accumulation: Positive = 1
    gradient_clipping: Annotated[float, Field(ge=0.0)] = 1.0
    activation_checkpointing: bool = False
    compile_blocks: bool = False
    prefetch: Annotated[int, Field(ge=0)] = 2
    checkpoint_every: Positive = 50
    checkpoint_minutes: Annotated[float, Field(gt=0)] = 30.0
    keep_checkpoints: Positive = 2
    nonfinite_limit: Positive = 5
    abnormal_gradient: Annotated[float, Field(gt=1.0)] = 10.0
    peak_tflops: Annotated[float, Field(gt=0.0)] | None = None

    @model_validator(mode="after")
    def _possible(self) -> "EngineConfig":
        if self.offload == "optimizer" and self.zero_stage == 0:
            raise ValueError("offload: optimizer needs zero_stage 1 to 3")
        if self.offload == "parameters" and self.zero_stage != 3:
            raise ValueError("offload: parameters needs zero_stage 3")
        if self.micro_batch is not None and self.gradient_accumulation > 1:
            raise ValueError("give micro_batch or gradient_accumulation, and not both: the one follows from the other")
        if self.hostfile is None and self.ranks % self.sequence_parallel:
            raise ValueError(
                f"{self.ranks} ranks do not divide into groups of sequence_parallel = {self.sequence_parallel}"
            )
        return self


class LoraConfig(Strict):
    """Train low-rank updates of these matrices of the backbone instead of all of it; OmniHuman's new parts train fully."""

    rank: Positive = 16
    alpha: Positive = 16
    targets: tuple[str, ...] = (
        "attn1.to_q",
        "attn1.to_k",
        "attn1.to_v",
        "attn1.to_out.0",
        "attn2.to_q",
        "attn2.to_k",
        "attn2.to_v",
        "attn2.to_out.0",
    )


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
    subset: SubsetName = "text"
    ratios: Ratios
    optimizer: OptimizerConfig
    warmup_steps: Positive = 20
    decay_to: Ratio = 1.0
    ema_decay: Ratio = 0.995
    timestep_law: Literal["logit_normal", "uniform"] = "logit_normal"
    timestep_shift: float = 1.0
    # How much a latent cell that shows the mouth weighs in the loss beside any other (Follow-Your-Emoji, arXiv 2406.01900, its facial fine-grained loss):
    # a mouth is two cells of sixty-four, and what is said moves little else.
    mouth_weight: Annotated[float, Field(ge=1.0)] = 1.0
    lora: LoraConfig | None = None
    watch: WatchConfig = WatchConfig()
    seed: int = 0

    @model_serializer(mode="wrap")
    def _as_when_all_cells_weighed_alike(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Where they do it goes unsaid: what was made before stays current."""
        return {key: value for key, value in values(self).items() if (key, value) != ("mouth_weight", 1.0)}
