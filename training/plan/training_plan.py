"""One training of a profile on a cluster: what each rank and its host hold at the peak, what a step computes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from profiles.schema import EngineConfig, Profile
from training.engine.deepspeed_engine import accumulation_of, ranks_of_a_sample
from training.errors import TrainingError
from training.plan.decoder_passes import decoder_passes
from training.plan.gpus import GIB, Gpu
from training.plan.passes import Passes, adversarial_passes, consistency_passes, stage_passes, tokens_of
from training.plan.states import BUCKET, FLOAT, LIVE, PREFETCH, States, engine_states
from training.stages.model import planned_base, splits_tokens

# Of a card's memory; the rest is for the driver's context, NCCL's buffers and what lies between blocks of the allocator.
USABLE = 0.92
PROCESS = 3 * GIB  # of host memory: torch, DeepSpeed and CUDA's libraries in one rank


@dataclass(frozen=True)
class TrainingPlan:
    """What a training would take. Bytes are one rank's, but for `host`, which is a machine's.

    Attributes:
        section: of the profile.
        parameters: of the network that is trained.
        states: of all engines together.
        answering: of networks beside them that only answer.
        activations: while it learns from a micro-batch; `plain` without activation checkpointing.
        phases: bytes at each moment that may be the peak.
        host: bytes on a machine.
        samples, micro, accumulation: of an update, of a pass, passes.
        tokens: of an update, over all ranks.
        flops: that one rank executes in an update, by precision; `model_flops` without what is computed a second time.
        moved: bytes that one rank's operations beside those products read and write in an update.
        updates: of the whole training.
        problem: why it cannot be started, if it cannot.
    """

    section: str
    parameters: int
    states: States
    answering: float
    activations: float
    plain: float
    phases: dict[str, float]
    host: float
    samples: int
    micro: int
    accumulation: int
    tokens: int
    flops: dict[str, float]
    model_flops: dict[str, float]
    updates: int
    problem: str = ""
    moved: float = 0.0
    engines: dict[str, States] = field(default_factory=dict)

    @property
    def peak(self) -> float:
        """Bytes of a rank."""
        return max(self.phases.values())

    @property
    def peak_phase(self) -> str:
        """When."""
        return max(self.phases, key=lambda phase: self.phases[phase])

    def fits(self, gpu: Gpu) -> bool:
        """Whether it can be started and a card of this kind holds it."""
        return not self.problem and self.peak <= USABLE * gpu.memory * GIB

    def seconds(self, gpu: Gpu, mfu: float) -> float:
        """Of an update, where this share of the card's peak is reached; recomputation is not counted as work."""
        peaks = {"bf16": gpu.bf16, "tf32": gpu.tf32, "fp32": gpu.fp32}
        return sum(flops / (peaks[kind] * 1e12 * mfu) for kind, flops in self.model_flops.items())


def trainings_of(profile: Profile) -> dict[str, str]:
    """Section and kind of every training that the profile has, in order."""
    named = {section: "stage" for section in ("stage_1", "stage_2", "stage_3")}
    named |= {"consistency": "consistency", "adversarial_images": "adversarial", "adversarial_videos": "adversarial"}
    return named | ({"slim_decoder": "decoder"} if profile.slim_decoder is not None else {})


def plan_training(
    profile: Profile, section: str, ranks: int, ranks_per_node: int | None = None, bucket: int = BUCKET
) -> TrainingPlan:
    """Trace a training and add up.

    Args:
        profile: with the engine's settings.
        section: a key of `trainings_of`.
        ranks: all of them.
        ranks_per_node: on one machine; None is all.
        bucket: elements that DeepSpeed reduces together.
    """
    kind, config = trainings_of(profile)[section], getattr(profile, section)
    engine = engine_of(profile.engine, kind, config)
    profile = profile.model_copy(update={"engine": engine})
    micro, accumulation, problem = _cut(engine, config, ranks)
    traced = _passes(profile, section, kind, micro)
    engines = _engines(profile, section, kind, traced, ranks, bucket)
    states = sum(engines.values(), States())
    answering, teacher_on_host = _answering(traced.answering, engine, ranks)
    kept = states.kept + answering
    learning = {name: one.peak for name, one in traced.learning.items()}
    phases = {
        f"{name} learns" if len(learning) > 1 else "learning": _learning(
            kept, peak, states, len(learning) * accumulation
        )
        for name, peak in learning.items()
    }
    phases["optimiser steps"] = kept + states.stepping
    phases |= {name: kept + one.peak for name, one in traced.looking.items()}
    phases |= {name: one.peak for name, one in traced.before.items()}
    here = min(ranks, ranks_per_node or ranks)
    trained = [one.trained + one.frozen for one in traced.counted.values()]
    running = here * (states.host + teacher_on_host + traced.host * micro * (1 + engine.prefetch))
    # Micro-batches that are loaded ahead count; every rank reads whole networks before DeepSpeed cuts them; later rank 0 alone gathers one.
    loading = here * (FLOAT * sum(trained) + traced.answering)
    host = here * PROCESS + max(running + FLOAT * max(trained, default=0), loading)
    passes = accumulation * len(traced.learning)  # every adversary learns from a batch of its own
    return TrainingPlan(
        section,
        next(iter(traced.counted.values())).trained,
        states,
        answering,
        max(learning.values(), default=0.0),
        max((one.peak for one in traced.plain.values()), default=0.0),
        phases,
        host,
        config.batch_size,
        micro,
        accumulation,
        traced.tokens * config.batch_size * len(traced.learning),
        _flops(traced.learning, accumulation),
        _flops(traced.plain, accumulation),
        config.steps + getattr(config, "critic_warmup", 0),
        problem or _unsplit(profile, section) or ("" if passes else _no_decoder(profile)),
        accumulation * sum(one.moved for one in traced.learning.values()),
        engines,
    )


def _learning(kept: float, activations: float, states: States, passes: int) -> float:
    """Of one pass alone there are no gradients yet when there are most activations; of several those of the passes before are there."""
    return kept + activations if passes > 1 else kept - states.gradients + max(activations, states.gradients)


def engine_of(engine: EngineConfig, kind: str, config: Any) -> EngineConfig:
    """The engine's settings as a training takes them: a section may say how many ranks share tokens, and a decoder has none to share."""
    shared = 1 if kind == "decoder" else ranks_of_a_sample(engine, config)
    return engine.model_copy(update={"sequence_parallel": shared})


def _answering(size: float, engine: EngineConfig, ranks: int) -> tuple[float, float]:
    """Of a network that only answers, on the device and on the host (`training.engine.deepspeed_engine.answering`)."""
    if engine.zero_stage < 3:
        return size, 0.0
    gathered = min(size, 2.0 * (LIVE + PREFETCH)) if ranks > 1 else 0.0
    return (gathered, size / ranks) if engine.offload == "parameters" else (size / ranks + gathered, 0.0)


def _cut(engine: EngineConfig, config: Any, ranks: int) -> tuple[int, int, str]:
    replicas = max(1, ranks // engine.sequence_parallel)
    try:
        if ranks % engine.sequence_parallel:
            raise TrainingError(
                f"{ranks} ranks do not divide into groups of sequence_parallel = {engine.sequence_parallel}"
            )
        accumulation = accumulation_of(engine, config, replicas)
        return config.batch_size // (replicas * accumulation), accumulation, ""
    except TrainingError as error:
        micro = getattr(config, "micro_batch", None) or engine.micro_batch or 1
        return micro, max(1, config.batch_size // (replicas * micro)), str(error)


def _unsplit(profile: Profile, section: str) -> str:
    heads, ranks = profile.transformer.num_attention_heads, profile.engine.sequence_parallel
    if heads % ranks:
        return f"{heads} attention heads do not divide by sequence_parallel = {ranks}"
    if not splits_tokens(profile, ranks):
        return f"a {planned_base(profile).architecture} model's tokens are not split over sequence_parallel = {ranks} ranks"
    images, ratios = section == "adversarial_images", getattr(getattr(profile, section), "ratios", None)
    if ratios is None or ranks == 1:
        return ""
    for bucket in profile.video.all_buckets:
        for motion in {0.0, ratios.motion}:
            tokens = tokens_of(bucket, ratios.model_copy(update={"motion": motion}), images)
            if tokens % ranks:
                name = profile.video.name_of(bucket)
                return f"{tokens} tokens of bucket {name} do not divide by sequence_parallel = {ranks}; another size of the bucket's does"
    return ""


def _no_decoder(profile: Profile) -> str:
    return f"slim_decoder.base_dim is not below the autoencoder's own, of {profile.encoders.autoencoder}"


_traced: dict[str, Passes] = {}


def _passes(profile: Profile, section: str, kind: str, micro: int) -> Passes:
    """Traced once in a process for all settings that change no activation: ZeRO, offload, ranks, batch."""
    engine = profile.engine.model_dump(include={"precision", "activation_checkpointing", "sequence_parallel"})
    own = getattr(profile, section).model_dump(mode="json", exclude={"batch_size", "steps"})
    parts = [profile.transformer.model_dump(mode="json"), profile.video.model_dump(mode="json"), engine, own]
    key = json.dumps([section, micro, profile.encoders.model_dump(mode="json"), *parts], sort_keys=True)
    if key not in _traced:
        _traced[key] = _trace(profile, section, kind, micro)
    return _traced[key]


def _trace(profile: Profile, section: str, kind: str, micro: int) -> Passes:
    if not splits_tokens(profile, profile.engine.sequence_parallel):
        profile = profile.model_copy(update={"engine": profile.engine.model_copy(update={"sequence_parallel": 1})})
    if kind == "decoder":
        assert profile.slim_decoder is not None
        return decoder_passes(profile, profile.slim_decoder, micro)
    trace_of: Mapping[str, Callable[[Profile, str, int], Passes]] = {
        "stage": stage_passes,
        "consistency": consistency_passes,
        "adversarial": adversarial_passes,
    }
    return trace_of[kind](profile, section, micro)


def _engines(profile: Profile, section: str, kind: str, traced: Passes, ranks: int, bucket: int) -> dict[str, States]:
    config = getattr(profile, section)
    states = partial(engine_states, engine=profile.engine, ranks=ranks, bucket=bucket)
    if kind != "adversarial":
        return {
            name: states(counted, optimizer=config.optimizer, averaged=True) for name, counted in traced.counted.items()
        }
    return {
        name: states(counted, optimizer=getattr(config, name), averaged=name == "generator")
        for name, counted in traced.counted.items()
    }


def _flops(traced: Mapping[str, Any], accumulation: int) -> dict[str, float]:
    summed: dict[str, float] = {}
    for one in traced.values():
        for kind, flops in one.flops.items():
            summed[kind] = summed.get(kind, 0.0) + accumulation * flops
    return summed
