"""Consistency distillation and adversarial post-training."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from profiles.base import Positive, Ratio, Strict
from profiles.stages import OptimizerConfig, Ratios


class GuidanceConfig(Strict):
    """Scales of the teacher's classifier-free guidance, per condition; 1 is none. `posed`: also of samples that a pose drives."""

    text: float = 1.0
    audio: float = 1.0
    posed: bool = True


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
        micro_batch, gradient_accumulation: of this phase, one of them; None is the engine's.
        sequence_parallel: how many ranks share one sample's tokens in this phase; None is the engine's.
        penalty_weight: lambda of the approximated R1 (and R2); 0 trains without, and still records them.
        penalty_sigma: size of the perturbation.
        timestep_shift: s of the discriminator's timestep: 1 for images, 12 for videos.
        stacked: the discriminator sees real, generated and perturbed samples in one pass; false takes them one after another: the same
            gradient with a third of the activations, and a quarter more work of the discriminator.
        heads: `apt` reads at 16/36, 26/36 and 36/36 of the depth, `last` at the last block only (APT's ablation).
        discriminator_from: the original diffusion weights, or (APT's ablation) the distilled generator's.
        generator_from: the parent checkpoint, or the diffusion weights: no consistency initialisation.
    """

    steps: Positive
    critic_warmup: Annotated[int, Field(ge=0)] = 0
    batch_size: Positive = 16
    micro_batch: Positive | None = None
    gradient_accumulation: Positive | None = None
    sequence_parallel: Positive | None = None
    objective: Literal["non_saturating", "relativistic"] = "non_saturating"
    penalty_weight: Annotated[float, Field(ge=0.0)] = 100.0
    penalty_sigma: Annotated[float, Field(gt=0.0)] = 0.1
    timestep_shift: Annotated[float, Field(gt=0.0)] = 12.0
    stacked: bool = True
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

    @model_validator(mode="after")
    def _passes_once(self) -> Self:
        if self.micro_batch is not None and self.gradient_accumulation is not None:
            raise ValueError("give micro_batch or gradient_accumulation, and not both: the one follows from the other")
        return self

    @property
    def updates(self) -> int:
        """All of the phase."""
        return self.critic_warmup + self.steps

    @model_serializer(mode="wrap")
    def _as_before(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """How an update is cut into passes goes unsaid where nothing is asked for: what was made before stays current."""
        unsaid = (("micro_batch", None), ("sequence_parallel", None), ("stacked", True), ("autoencoder", None))
        return {key: value for key, value in values(self).items() if (key, value) not in unsaid}


class StreamingConfig(AdversarialConfig):
    """A causal student that makes a latent at a time (APT2): first it follows the one-step student on that one's own videos, then it is
    trained against real ones on videos of its own.

    Attributes:
        window: latents that a latent sees, itself among them.
        lookahead: video frames of sound after a latent that it hears.
        sink: the reference is seen for ever.
        teacher_forcing: updates of the generator on the parent's videos, before the discriminator begins.
        forcing_rate: factor on the generator's rates in these; it falls to a tenth of it.
        distillation_weight: of the squared distance to the parent's video, beside the discriminator's word, in a video's first window.
        rounds: a video is trained on so many windows after its first, on the state that those before it left; which one is drawn.
        disturbed: share of samples whose past is spoiled before the student goes on from it.
        autoencoder: source of what a stream is decoded with, where that is not `encoders.autoencoder`: the same encoder, and a decoder trained on latents in a
            row (training/recipes/stream_decoder.py). A registered streaming student carries it; windows never see it.
    """

    window: Annotated[int, Field(ge=2)] = 5
    lookahead: Annotated[int, Field(ge=0, le=4)] = 2
    sink: bool = True
    teacher_forcing: Annotated[int, Field(ge=0)] = 0
    forcing_rate: Annotated[float, Field(gt=0.0)] = 1.0
    distillation_weight: Annotated[float, Field(ge=0.0)] = 0.0
    rounds: Annotated[int, Field(ge=0)] = 2
    disturbed: Ratio = 0.25
    autoencoder: str | None = None
    objective: Literal["non_saturating", "relativistic"] = "relativistic"
    timestep_shift: Annotated[float, Field(gt=0.0)] = 1.0

    @property
    def updates(self) -> int:
        """All of the phase."""
        return self.teacher_forcing + super().updates


class SlimDecoderConfig(Strict):
    """A narrower decoder for the profile's autoencoder, distilled from its own (APT2 slims its decoder, about 3 times faster).

    Attributes:
        base_dim: width of the decoder; the profile's own has the autoencoder's `base_dim`.
        noise: standard deviation of what is added to half of the latents: generated ones are not quite encoded ones.
        edges: weight of the loss of neighbouring pixels' differences beside that of pixels.
        squares: weight of the squared differences of pixels beside that.
        crop: side of the piece of latents that is decoded, in latents; larger pictures are decoded in random pieces.
    """

    base_dim: Positive
    steps: Positive
    batch_size: Positive = 16
    noise: Annotated[float, Field(ge=0.0)] = 0.1
    edges: Annotated[float, Field(ge=0.0)] = 1.0
    squares: Annotated[float, Field(ge=0.0)] = 4.0
    crop: Positive = 32
    optimizer: OptimizerConfig
    warmup_steps: Positive = 20
    ema_decay: Ratio = 0.99
    seed: int = 0
