"""Every kind of training, traced: the functions that a training runs on a micro-batch, on networks of the profile's sizes without bytes."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from omnihuman.precision import cast_weights
from profiles.schema import AdversarialConfig, Bucket, Profile, Ratios, StageConfig
from training.data.batch import Batch
from training.distillation.consistency import batch_loss, time_grid
from training.distillation.critic_probe import probe_conditions
from training.distillation.discriminator import Discriminator, head_blocks
from training.distillation.one_step import one_step
from training.distillation.updates import Draw, discriminator_pass, frozen, generator_pass
from training.engine.deepspeed_engine import answering_dtype, backward
from training.flow_matching import trajectory_end
from training.plan.stand_ins import FakeEngine, cast, fake_batch, fake_transformer, sequence_mesh
from training.plan.states import Counted, count_parameters
from training.plan.trace import Traced, at_depth, trace, without_bytes
from training.stages.flow_matching_step import velocity_losses
from training.stages.lora import add_lora

ADVERSARIES = ("discriminator", "generator")


@dataclass(frozen=True)
class Passes:
    """One training at one setting.

    Attributes:
        learning: by engine, what it takes to learn from one micro-batch.
        plain: the same without activation checkpointing: what the model itself computes, and what is saved by computing it twice.
        looking: what is looked at now and then, by name; nothing learns meanwhile.
        before: what is done once, before there are engines, by name; networks that are loaded for it count.
        counted: by engine, parameters.
        answering: bytes of networks beside the engines that only answer.
        host: bytes of one sample as the loader gives it.
        tokens: that the transformer reads of one sample.
    """

    learning: dict[str, Traced]
    plain: dict[str, Traced]
    counted: dict[str, Counted]
    looking: dict[str, Traced] = field(default_factory=dict)
    before: dict[str, Traced] = field(default_factory=dict)
    answering: float = 0.0
    host: float = 0.0
    tokens: int = 0


def largest_bucket(profile: Profile) -> Bucket:
    """The bucket whose samples have most tokens."""
    return max(profile.video.all_buckets, key=lambda bucket: bucket.latent_frames * bucket.frame_tokens)


def tokens_of(bucket: Bucket, ratios: Ratios, images: bool) -> int:
    """Of one sample with its reference and motion frames."""
    packed = (ratios.reference > 0) + 2 * (ratios.motion > 0 and not images)
    return bucket.frame_tokens * ((1 if images else bucket.latent_frames) + packed)


def host_bytes(profile: Profile, ratios: Ratios, images: bool = False) -> float:
    """Bytes of one sample as the loader gives it, all float32."""
    with without_bytes():
        batch = fake_batch(profile, largest_bucket(profile), 1, ratios, torch.float32)
        batch = batch.as_images() if images else batch
    tensors = [value for value in vars(batch).values() if isinstance(value, Tensor)]
    return float(sum(tensor.numel() * tensor.element_size() for tensor in tensors))


def stage_passes(profile: Profile, section: str, micro: int) -> Passes:
    """Of a stage: `velocity_losses` and its backward pass; the held-out look."""
    stage: StageConfig = getattr(profile, section)
    bucket = largest_bucket(profile)

    def learn(depth: int, mesh: Any, again: bool = True) -> Traced:
        engine = FakeEngine(_trained(profile, stage, depth, mesh, again), profile.engine)

        def run() -> None:
            batch = fake_batch(profile, bucket, micro, stage.ratios, engine.dtype)
            backward(engine, velocity_losses(engine, batch, torch.empty(micro)).mean())

        return trace(run, [engine.module])

    def look(depth: int, mesh: Any) -> Traced:
        engine = FakeEngine(_trained(profile, stage, depth, mesh), profile.engine)

        @torch.no_grad()
        def run() -> None:
            batch = fake_batch(profile, bucket, micro, stage.ratios, engine.dtype)
            velocity_losses(engine, batch, torch.empty(micro))

        return trace(run, [engine.module])

    with without_bytes():
        counted = counted_at_full_depth(
            profile, lambda depth: count_parameters(_trained(profile, stage, depth, None), stage.optimizer)
        )
    learning = {"model": _at_full_depth(profile, learn)}
    return Passes(
        learning,
        _plain(profile, learning, {"model": learn}),
        {"model": counted},
        {"held-out look": _at_full_depth(profile, look)},
        host=host_bytes(profile, stage.ratios),
        tokens=tokens_of(bucket, stage.ratios, False),
    )


def _trained(profile: Profile, stage: StageConfig, depth: int, mesh: Any, again: bool = True) -> Any:
    model = fake_transformer(profile, depth, mesh, again)
    if stage.lora is not None:
        add_lora(model, stage.lora)
    return model


def consistency_passes(profile: Profile, section: str, micro: int) -> Passes:
    """Of consistency distillation: `batch_loss`, with the teacher's branches, and its backward pass."""
    config, bucket = profile.consistency, largest_bucket(profile)

    def learn(depth: int, mesh: Any, again: bool = True) -> Traced:
        engine = FakeEngine(fake_transformer(profile, depth, mesh, again), profile.engine)
        teacher = fake_transformer(profile, depth, mesh).eval().requires_grad_(False)
        cast(teacher, engine.dtype)

        def run() -> None:
            batch = fake_batch(profile, bucket, micro, config.ratios, engine.dtype)
            grid = time_grid(config.grid, config.grid_shift)
            backward(engine, batch_loss(engine, teacher, batch, grid, config.guidance).mean())

        return trace(run, [engine.module, teacher])

    with without_bytes():
        counted = counted_at_full_depth(
            profile, lambda depth: count_parameters(fake_transformer(profile, depth), config.optimizer)
        )
        dtype = FakeEngine(fake_transformer(profile, 1), profile.engine).dtype
    learning = {"model": _at_full_depth(profile, learn)}
    return Passes(
        learning,
        _plain(profile, learning, {"model": learn}),
        {"model": counted},
        answering=float(counted.trained * dtype.itemsize),
        host=host_bytes(profile, config.ratios),
        tokens=tokens_of(bucket, config.ratios, False),
    )


def adversarial_passes(profile: Profile, section: str, micro: int) -> Passes:
    """Of an adversarial phase: `discriminator_pass`, `generator_pass` and the probe's samples."""
    config: AdversarialConfig = getattr(profile, section)
    bucket, images = largest_bucket(profile), section == "adversarial_images"
    parts = _Adversaries(profile, config, bucket, images, micro)
    least = next(depth for depth in range(1, 99) if _has_heads(profile, depth, config))
    depths = (least, least + 1)
    with without_bytes():
        both = cache(parts.counted)

        def counted_of(name: str, depth: int) -> Counted:
            return both(depth)[name]

        counted = {name: counted_at_full_depth(profile, partial(counted_of, name), depths) for name in ADVERSARIES}
    learn: dict[str, Callable[..., Traced]] = {"discriminator": parts.discriminator, "generator": parts.generator}
    learning = {name: _at_full_depth(profile, one, depths) for name, one in learn.items()}
    return Passes(
        learning,
        _plain(profile, learning, learn, depths),
        counted,
        {"probe": _at_full_depth(profile, parts.probe, depths)},
        {"teacher's trajectories": _at_full_depth(profile, parts.trajectories, depths)},
        host=host_bytes(profile, config.ratios, images) + _perturbation(profile, bucket, images),
        tokens=tokens_of(bucket, config.ratios, images),
    )


def _has_heads(profile: Profile, units: int, config: AdversarialConfig) -> bool:
    from training.errors import TrainingError

    try:
        cut = profile.transformer.of_units(units)
        return bool(head_blocks(cut.num_layers + cut.num_single_layers, config.heads))
    except TrainingError:
        return False


def _perturbation(profile: Profile, bucket: Bucket, images: bool) -> float:
    cells = (1 if images else bucket.latent_frames) * (bucket.height // bucket.stride) * (bucket.width // bucket.stride)
    return 2 * 4.0 * profile.transformer.latent_channels * cells


@dataclass(frozen=True)
class _Adversaries:
    """What both adversaries and the probe are traced with."""

    profile: Profile
    config: AdversarialConfig
    bucket: Bucket
    images: bool
    micro: int

    def networks(self, depth: int, mesh: Any = None, again: bool = True) -> tuple[Any, Discriminator]:
        generator, critic = (fake_transformer(self.profile, depth, mesh, again) for _ in range(2))
        return generator, Discriminator(critic, self.config.heads)

    def counted(self, depth: int) -> dict[str, Counted]:
        generator, discriminator = self.networks(depth)
        return {
            "generator": count_parameters(generator, self.config.generator),
            "discriminator": count_parameters(discriminator, self.config.discriminator),
        }

    def engines(self, depth: int, mesh: Any, again: bool = True) -> tuple[FakeEngine, FakeEngine]:
        generator, discriminator = self.networks(depth, mesh, again)
        return FakeEngine(generator, self.profile.engine), FakeEngine(discriminator, self.profile.engine)

    def draw(self, samples: int, dtype: torch.dtype) -> Draw:
        batch = fake_batch(self.profile, self.bucket, samples, self.config.ratios, dtype)
        batch = batch.as_images() if self.images else batch
        return Draw(batch, torch.empty(samples), torch.empty((2, *batch.latents.shape)))

    def discriminator(self, depth: int, mesh: Any, again: bool = True) -> Traced:
        g_engine, d_engine = self.engines(depth, mesh, again)

        def run() -> None:
            discriminator_pass(g_engine, d_engine, self.draw(self.micro, g_engine.dtype), self.config)

        return trace(run, [g_engine.module, d_engine.module])

    def generator(self, depth: int, mesh: Any, again: bool = True) -> Traced:
        g_engine, d_engine = self.engines(depth, mesh, again)

        def run() -> None:
            with frozen(d_engine.module):
                generator_pass(g_engine, d_engine, self.draw(self.micro, g_engine.dtype), self.config)

        return trace(run, [g_engine.module, d_engine.module])

    def probed(self, dtype: torch.dtype) -> Batch:
        wanted, size = probe_conditions(self.config), self.config.probe.conditions
        on = {name: float(getattr(wanted, name)) for name in ("text", "reference", "audio")}
        ratios = self.config.ratios.model_copy(update={**on, "pose": 0.0, "motion": 0.0})
        config = self.config.model_copy(update={"ratios": ratios})
        return replace(self, config=config).draw(size, dtype).batch

    def probe(self, depth: int, mesh: Any) -> Traced:
        engine = FakeEngine(fake_transformer(self.profile, depth, mesh), self.profile.engine)

        @torch.no_grad()
        def run() -> None:
            batch = self.probed(engine.dtype)
            kept = [one_step(engine, batch.noise, batch.conditions()) for _ in range(self.config.probe.seeds)]
            torch.stack(kept)

        return trace(run, [engine.module])

    def trajectories(self, depth: int, mesh: Any) -> Traced:
        dtype = answering_dtype(self.profile.engine)

        teacher = fake_transformer(self.profile, depth, mesh).eval().requires_grad_(False)
        cast_weights(teacher, dtype)

        def run() -> None:
            batch = self.probed(dtype)
            trajectory_end(teacher, batch.noise, batch.conditions(), 1)

        weights = sum(parameter.numel() * parameter.element_size() for parameter in teacher.parameters())
        return Traced(trace(run, [teacher]).peak + weights)


def counted_at_full_depth(
    profile: Profile, count: Callable[[int], Counted], depths: tuple[int, int] = (1, 2)
) -> Counted:
    """Of the whole depth. Equal blocks are counted twice and no more: a 14B network takes seconds to build even without bytes."""
    depth = profile.transformer.units
    if profile.transformer.audio_blocks is not None:
        return count(depth)
    (low, first), (high, second) = ((d, count(d)) for d in depths)

    def along(a: int, b: int) -> int:
        return a + (b - a) * (depth - low) // (high - low)

    return Counted(
        along(first.trained, second.trained),
        along(first.by_muon, second.by_muon),
        along(first.frozen, second.frozen),
    )


def _plain(
    profile: Profile,
    learning: dict[str, Traced],
    traced: dict[str, Callable[..., Traced]],
    depths: tuple[int, int] = (1, 2),
) -> dict[str, Traced]:
    """`learning` without activation checkpointing, which it is already where the profile has none."""
    if not profile.engine.activation_checkpointing:
        return learning
    return {name: _at_full_depth(profile, partial(one, again=False), depths) for name, one in traced.items()}


def _at_full_depth(profile: Profile, traced: Callable[..., Traced], depths: tuple[int, int] = (1, 2)) -> Traced:
    with ExitStack() as stack:
        mesh = stack.enter_context(sequence_mesh(profile.engine.sequence_parallel))
        stack.enter_context(without_bytes())
        return at_depth({depth: traced(depth, mesh) for depth in depths}, profile.transformer.units)
