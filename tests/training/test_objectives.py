"""Signs, maps and penalties with known answers; nothing is trained except a closed-form case."""

import numpy as np
import pytest
import torch

from training.distillation import approximated_r1, shift_timestep
from training.distillation.consistency import consistency_loss, consistency_map, time_grid
from training.distillation.discriminator import head_blocks
from training.distillation.objectives import discriminator_loss, generator_loss
from training.distillation.one_step import one_step
from training.engine.deepspeed_engine import rate_factor
from training.flow_matching import (
    euler_step,
    interpolate,
    mouth_weights,
    per_sample_loss,
    sample_timesteps,
    velocity_target,
)


def test_the_exact_velocity_has_zero_loss_and_one_euler_step_from_noise_returns_the_data():
    x_0, noise = torch.randn(4, 3, 2), torch.randn(4, 3, 2)
    velocity = velocity_target(x_0, noise)
    assert per_sample_loss(velocity, x_0, noise).abs().max() == 0
    t = torch.ones(4)
    torch.testing.assert_close(euler_step(interpolate(x_0, noise, t), velocity, t, torch.zeros(4)), x_0)
    half = torch.full((4,), 0.5)
    torch.testing.assert_close(euler_step(interpolate(x_0, noise, half), velocity, half, torch.zeros(4)), x_0)


def test_predicting_the_data_instead_of_the_velocity_is_punished():
    x_0, noise = torch.randn(4, 50), torch.randn(4, 50)
    assert per_sample_loss(x_0, x_0, noise).min() > 0.5


@pytest.mark.parametrize(
    ("t", "s", "expected"),
    [(0.5, 1.0, 0.5), (0.5, 12.0, 12 / 13), (0.0, 12.0, 0.0), (1.0, 12.0, 1.0), (0.25, 3.0, 0.5)],
)
def test_shift_matches_the_formula(t, s, expected):
    assert shift_timestep(torch.tensor([t]), s).item() == pytest.approx(expected, rel=1e-6)


def test_shift_refuses_the_thousand_scale():
    with pytest.raises(ValueError, match="1000"):
        shift_timestep(torch.tensor([500.0]), 12.0)


def test_logit_normal_timesteps_have_their_median_at_one_half_and_shift_moves_them_up():
    u = (torch.arange(10_001) + 0.5) / 10_001
    t = sample_timesteps(u, "logit_normal", 1.0)
    assert t.median().item() == pytest.approx(0.5, abs=1e-4)
    # P(t < sigmoid(1)) is the normal distribution at 1.
    assert (t < torch.sigmoid(torch.tensor(1.0))).float().mean().item() == pytest.approx(0.8413, abs=1e-3)
    assert sample_timesteps(u, "uniform", 3.0).median().item() == pytest.approx(0.75, abs=1e-3)


def test_losses_at_zero_logits_are_the_known_constants():
    zero = torch.zeros(8)
    assert discriminator_loss(zero, zero, "non_saturating").item() == pytest.approx(2 * np.log(2))
    assert discriminator_loss(zero, zero, "relativistic").item() == pytest.approx(np.log(2))
    assert generator_loss(None, zero, "non_saturating").item() == pytest.approx(np.log(2))


def test_losses_stay_finite_where_log_sigmoid_plus_epsilon_would_not_see_a_gradient():
    logits = torch.full((4,), -200.0, requires_grad=True)
    generator_loss(None, logits, "non_saturating").backward()
    assert logits.grad.tolist() == pytest.approx([-0.25] * 4)


def test_approximated_r1_tends_to_the_gradient_norm_as_sigma_shrinks():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 20, generator=generator)

    def critic(v):
        return torch.sin(v).sum(dim=1) + v[:, 0] ** 2

    gradient = torch.cos(x)
    gradient[:, 0] += 2 * x[:, 0]
    sigma = 1e-3
    noise = torch.randn(200_000, 20, generator=generator)
    estimate = approximated_r1(critic(x).expand(200_000), critic(x + sigma * noise)) / sigma**2
    assert estimate.item() == pytest.approx(gradient.square().sum().item(), rel=0.02)


@pytest.mark.parametrize(
    ("layers", "blocks"), [(30, (13, 22, 30)), (36, (16, 26, 36)), (40, (18, 29, 40)), (6, (3, 4, 6))]
)
def test_discriminator_heads_sit_at_apts_depths(layers, blocks):
    assert head_blocks(layers) == blocks


def test_the_consistency_map_is_the_identity_at_zero_and_exact_for_a_straight_flow():
    x_0, noise = torch.randn(3, 5), torch.randn(3, 5)

    def straight(x, t):
        return noise - x_0

    for t in (0.0, 0.3, 1.0):
        time = torch.full((3,), t)
        torch.testing.assert_close(consistency_map(straight, interpolate(x_0, noise, time), time), x_0)
    zero = torch.zeros(3)
    assert torch.equal(consistency_map(lambda x, t: torch.full_like(x, 1e6), x_0, zero), x_0)


def test_consistency_distillation_of_a_gaussian_converges_to_the_known_one_step_map():
    r"""Data N(m, s^2): the ODE keeps quantiles, so f(z, 1) = m + s z; the teacher's velocity is known in closed form."""
    mean, std, count = 2.0, 0.5, 32
    grid = time_grid(count, 1.0)

    def teacher(x, t):
        t = t[:, None]
        variance = (1 - t) ** 2 * std**2 + t**2
        x_0 = mean + (1 - t) * std**2 / variance * (x - (1 - t) * mean)
        noise = t / variance * (x - (1 - t) * mean)
        return noise - x_0

    # The student's velocity is affine in x at each grid time, which the exact answer is too.
    slope, offset = torch.zeros(count + 1, requires_grad=True), torch.zeros(count + 1, requires_grad=True)

    def student(x, t):
        index = (t * count).round().long()
        return slope[index, None] * x + offset[index, None]

    optimizer = torch.optim.Adam([slope, offset], lr=0.05)
    generator = torch.Generator().manual_seed(0)
    for step in range(2000):
        index = torch.randint(1, count + 1, (512,), generator=generator)
        x_0 = mean + std * torch.randn(512, 1, generator=generator)
        noise = torch.randn(512, 1, generator=generator)
        optimizer.param_groups[0]["lr"] = 0.05 * min(1.0, 2 * (1 - step / 2000))
        optimizer.zero_grad()
        # The map moves by t when the velocity moves by 1: dividing by t^2 trains all grid times alike.
        (
            consistency_loss(student, teacher, x_0, noise, grid[index], grid[index - 1]) / grid[index] ** 2
        ).mean().backward()
        optimizer.step()
    z = torch.linspace(-2, 2, 9)[:, None]
    mapped = z - student(z, torch.ones(9)).detach()
    torch.testing.assert_close(mapped, mean + std * z, atol=0.08, rtol=0)


def test_one_step_always_asks_at_the_final_timestep():
    asked = []

    def model(x, timestep, return_dict, **conditions):
        asked.append(timestep)
        return (x / 2,)

    noise = torch.randn(2, 16, 1, 2, 2)
    torch.testing.assert_close(one_step(model, noise, {}), noise / 2)
    assert asked[0].tolist() == [1000.0, 1000.0]


def test_the_rate_warms_up_and_decays_to_its_end():
    assert rate_factor(0, 100, 10, 0.1) == pytest.approx(0.1)
    assert rate_factor(49, 100, 10, 0.1) == pytest.approx(1.0)
    assert rate_factor(99, 100, 10, 0.1) == pytest.approx(0.1)


def test_a_mouth_weighs_more_and_a_sample_as_much_as_before():
    lips = torch.zeros(2, 5, 20, 3)
    lips[0, ..., 2] = 1
    lips[0, ..., 0], lips[0, ..., 1] = torch.linspace(10, 30, 20), torch.linspace(20, 30, 20)
    lips[0, 3:, :, 2] = 0  # not seen in the last latent of two frames
    weights = mouth_weights(lips, (3, 4, 4), 16, 9.0)
    assert weights.shape == (2, 1, 3, 4, 4) and weights.mean(dim=(1, 2, 3, 4)).tolist() == pytest.approx([1, 1])
    assert torch.equal(weights[1], torch.ones(1, 3, 4, 4)), "nowhere seen: the plain loss"
    heavy = (weights[0, 0] > weights[0, 0].min()).nonzero().tolist()
    assert heavy == [[f, 1, column] for f in (0, 1) for column in (0, 1)]
    assert weights[0, 0, 0, 1, 0] / weights[0, 0, 0, 3, 3] == pytest.approx(9)
    noise, velocity = torch.zeros(2, 1, 3, 4, 4), torch.zeros(2, 1, 3, 4, 4)
    velocity[:, :, 0, 1, 0] = 1
    plain, weighed = (per_sample_loss(velocity, noise, noise, given) for given in (None, weights))
    assert plain.tolist() == pytest.approx([1 / 48] * 2) and weighed[1] == plain[1]
    assert weighed[0] / plain[0] == pytest.approx(float(weights[0, 0, 0, 1, 0]))
