"""The two updates: where gradients go, what the discriminator is shown, and that ranks and accumulation change no sample."""

import torch

from benchmarks.training.plain_engine import PlainEngine
from profiles.schema import AdversarialConfig
from tests.training.tiny_networks import random_batch, tiny_discriminator, tiny_generator, tiny_profile
from training.data.micro_batches import narrow_batch
from training.distillation.objectives import approximated_r1, generator_loss
from training.distillation.one_step import one_step
from training.distillation.updates import discriminator_step, draw_parts, frozen, generator_step
from training.flow_matching import shift_timestep

PROFILE = tiny_profile()
CONFIG = PROFILE.adversarial_videos


def config(**changes) -> AdversarialConfig:
    return CONFIG.model_copy(update=changes)


class Seen(torch.nn.Module):
    """Remembers what a discriminator was called with."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.calls = inner, []

    def forward(self, x, t, conditions, exact=False):
        self.calls.append((x.detach(), t, conditions))
        return self.inner(x, t, conditions, exact)


def test_the_generators_gradient_reaches_every_block_through_the_frozen_discriminator():
    generator, discriminator = tiny_generator(PROFILE), tiny_discriminator(PROFILE)
    generator_step(PlainEngine(generator), PlainEngine(discriminator), draw_parts(random_batch(4), CONFIG, 1), CONFIG)
    for index, block in enumerate(generator.blocks):
        for part in ("attn1", "attn2", "audio_attn", "ffn"):
            norm = sum(p.grad.norm() for p in getattr(block, part).parameters())
            assert norm > 0, f"block {index} {part} gets no gradient"
    assert generator.pose_patch_embedding.weight.grad.norm() > 0
    assert all(p.grad is None for p in discriminator.parameters())
    assert discriminator.logit.weight.requires_grad and not discriminator.backbone.proj_out.weight.requires_grad


def test_the_generators_gradient_equals_central_finite_differences(monkeypatch):
    # float64 throughout: the blocks compute norms and gates in float32, which would hide small differences.
    monkeypatch.setattr(torch.Tensor, "float", lambda self: self)
    generator, discriminator = tiny_generator(PROFILE).double(), tiny_discriminator(PROFILE).double()
    part = random_batch(2).to(torch.device("cpu"), torch.float64)
    conditions, t = part.conditions(), shift_timestep(part.uniform, 12.0)

    def loss():
        return generator_loss(
            None, discriminator(one_step(generator, part.noise, conditions), t, conditions), "non_saturating"
        )

    with frozen(discriminator):
        loss().backward()
    chosen = [
        generator.blocks[0].attn1.to_q.weight,
        generator.blocks[1].ffn.net[2].weight,
        generator.blocks[2].audio_attn.to_v.weight,
        generator.proj_out.weight,
    ]
    for parameter in chosen:
        direction = torch.randn(parameter.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            values = []
            for side in (1, -1):
                parameter += side * 1e-4 * direction
                values.append(loss().item())
                parameter -= side * 1e-4 * direction
        numerical = (values[0] - values[1]) / 2e-4
        exact = (parameter.grad * direction).sum().item()
        assert abs(exact) > 1e-6
        torch.testing.assert_close(numerical, exact, rtol=1e-5, atol=1e-9)


def test_clean_and_perturbed_samples_share_timestep_and_conditions_and_differ_by_sigma_n():
    seen = Seen(tiny_discriminator(PROFILE))
    given = config(objective="relativistic", penalty_sigma=0.25)
    draws = list(draw_parts(random_batch(4), given, 1))
    discriminator_step(PlainEngine(tiny_generator(PROFILE)), PlainEngine(seen), draws, given)
    ((x, t, conditions),) = seen.calls
    real, fake, real_perturbed, fake_perturbed = x.chunk(4)
    for other in t.chunk(4)[1:]:
        assert torch.equal(t[:4], other)
    for value in conditions.values():
        parts = value.chunk(4)
        assert all(torch.equal(parts[0], other) for other in parts[1:])
    assert torch.equal(real, draws[0].batch.latents)
    torch.testing.assert_close(real_perturbed - real, 0.25 * draws[0].perturbation[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(fake_perturbed - fake, 0.25 * draws[0].perturbation[1], atol=1e-5, rtol=0)
    assert not torch.equal(draws[0].perturbation[0], draws[0].perturbation[1])


def test_the_timestep_is_shifted_once_and_stays_in_the_unit_interval():
    batch = random_batch(64)
    t = next(draw_parts(batch, config(timestep_shift=12.0), 1)).t
    torch.testing.assert_close(t, 12 * batch.uniform / (1 + 11 * batch.uniform))
    assert torch.equal(next(draw_parts(batch, config(timestep_shift=1.0), 1)).t, batch.uniform)


def test_ranks_and_accumulation_see_the_same_samples_with_the_same_noise():
    batch, given = random_batch(8), CONFIG
    (whole,) = draw_parts(batch, given, 1)
    parts = list(draw_parts(batch, given, 4))
    assert torch.equal(torch.cat([p.perturbation for p in parts], dim=1), whole.perturbation)
    assert torch.equal(torch.cat([p.t for p in parts]), whole.t)
    assert torch.equal(torch.cat([p.batch.latents for p in parts]), batch.latents)
    (second_rank,) = draw_parts(narrow_batch(batch, 4, 4), given, 1)
    assert torch.equal(second_rank.perturbation, whole.perturbation[:, 4:])
    assert not torch.equal(next(draw_parts(random_batch(8, 1), given, 1)).perturbation, whole.perturbation)


def test_approximated_r1_over_sigma_squared_tends_to_the_exact_gradient_penalty():
    discriminator = tiny_discriminator(PROFILE).eval().requires_grad_(False)
    part = random_batch(1)
    conditions = part.conditions()
    x, t = part.latents.requires_grad_(True), torch.full((1,), 0.9)
    (gradient,) = torch.autograd.grad(discriminator(x, t, conditions).sum(), x)
    exact, count = gradient.square().sum().item(), 4096
    noise = torch.randn(count, *x.shape[1:], generator=torch.Generator().manual_seed(0))
    repeated = conditions.each(lambda value: value.expand(count, *value.shape[1:]))
    errors = []
    with torch.no_grad():
        clean = discriminator(x, t, conditions).expand(count)
        for sigma in (1.0, 0.1, 0.01):
            perturbed = torch.cat(
                [
                    discriminator(x + sigma * n, t.expand(len(n)), repeated.each(lambda value, n=n: value[: len(n)]))
                    for n in noise.split(512)
                ]
            )
            errors.append(abs((approximated_r1(clean, perturbed) / sigma**2).item() / exact - 1))
    # 4096 squares of a normal variable have a relative standard error of 0.022.
    assert errors[2] < 0.08, errors
    assert errors[0] > errors[2]


def test_without_penalty_weight_the_discriminators_gradient_is_that_of_the_loss_alone_and_r1_is_still_recorded():
    grads = []
    for weight, sigma in ((0.0, 0.1), (0.0, 3.0), (100.0, 0.1)):
        discriminator = tiny_discriminator(PROFILE)
        given = config(penalty_weight=weight, penalty_sigma=sigma)
        row = discriminator_step(
            PlainEngine(tiny_generator(PROFILE)),
            PlainEngine(discriminator),
            draw_parts(random_batch(4), given, 1),
            given,
        )
        assert row["r1"] > 0 and row["r2"] == 0
        grads.append(discriminator.logit.weight.grad)
    torch.testing.assert_close(grads[0], grads[1])
    assert not torch.allclose(grads[0], grads[2])
