"""Times in bfloat16 training: every kind of training and of looking asks its networks at the times that float32 training asks at.

bfloat16 has eight bits: of APT2's grid of 32 shifted by 24, the steps at 22, 24, 27, 28, 30 and 32 were no steps in it. Numbers are
those of the published profiles, networks are tiny.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks.training.plain_engine import PlainEngine
from omnihuman.errors import InputError
from omnihuman.pipeline import OmniHumanPipeline
from omnihuman.precision import cast_weights
from profiles import load_profile
from tests.training.tiny_networks import random_batch, tiny_discriminator, tiny_generator, tiny_profile
from training.data.conditions import Conditions
from training.distillation.consistency import batch_loss, grid_pair, time_grid
from training.distillation.critic_probe import Probe
from training.distillation.guidance import teacher_velocity
from training.distillation.updates import discriminator_step, draw_parts, generator_step
from training.flow_matching import sample_timesteps, trajectory_end
from training.stages.flow_matching_step import optimizer_step
from training.stages.held_out import HeldOutValidation

PROFILE = load_profile("wan2.1-1.3b")
DTYPES = (torch.float32, torch.bfloat16)
TINY = tiny_profile()
CPU = torch.device("cpu")


class Asked(nn.Module):
    """A network that remembers the latents and times it was given, as they were before it rounded them."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network, self.latents, self.times = network, [], []

    def forward(self, x, time, *given, **named):
        self.latents.append(x.detach())
        self.times.append(time)
        return self.network(x, time, *given, **named)


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    """A process group of one, which adding losses up over ranks needs."""
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def generator(dtype: torch.dtype) -> Asked:
    """That only answers, as a teacher."""
    network = tiny_generator(TINY)
    cast_weights(network, dtype)
    return Asked(network)


def trained(dtype: torch.dtype) -> tuple[PlainEngine, Asked]:
    """That learns: weights in float32, products in `dtype`."""
    network = Asked(tiny_generator(TINY))
    return PlainEngine(network, bf16=dtype == torch.bfloat16), network


def equal(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize("name", ["wan2.1-1.3b", "wan2.1-14b"])
def test_every_pair_of_the_grid_is_a_step_and_the_last_begins_at_pure_noise(name):
    config = load_profile(name).consistency
    grid = time_grid(config.grid, config.grid_shift)
    t, s = grid_pair(grid, (torch.arange(32) + 0.5) / 32)
    assert t.dtype == s.dtype == torch.float32 and bool((t > s).all())
    places = torch.arange(33, dtype=torch.float64) / 32
    torch.testing.assert_close(torch.cat([s[:1], t]).double(), 24 * places / (1 + 23 * places), rtol=0, atol=1e-6)
    assert t[-1] == 1 and s[-1].item() == pytest.approx(0.998657, abs=1e-6)


def test_consistency_in_bfloat16_takes_the_steps_of_float32_and_no_loss_is_zero():
    config = PROFILE.consistency
    grid = time_grid(config.grid, config.grid_shift)
    asked, losses = {}, {}
    for dtype in DTYPES:
        part = replace(random_batch(32), uniform=(torch.arange(32) + 0.5) / 32).to(CPU, dtype)
        (engine, student), teacher = trained(dtype), generator(dtype)
        losses[dtype] = batch_loss(engine, teacher, part, grid, config.guidance).detach()
        (x_s, x_t), (s, t) = student.latents, student.times
        assert torch.equal(t, grid[1:] * 1000) and torch.equal(s, grid[:-1] * 1000)
        assert all(torch.equal(time, t) for time in teacher.times)
        velocity = teacher_velocity(teacher, x_t, grid[1:], part.conditions(), part.null_text, config.guidance)
        assert torch.equal(x_s, x_t + (grid[:-1] - grid[1:]).view(-1, 1, 1, 1, 1) * velocity)
        asked[dtype] = (x_t, t, s)
    assert equal(asked[torch.float32], asked[torch.bfloat16])
    exact, rounded = losses.values()
    assert rounded.dtype == torch.float32 and rounded.min() > 0
    assert rounded.mean().item() == pytest.approx(exact.mean().item(), rel=0.05)


def test_a_stage_in_bfloat16_asks_at_the_times_of_float32(group):
    asked, losses, config = [], [], PROFILE.stage_3
    for dtype in DTYPES:
        engine, network = trained(dtype)
        losses.append(optimizer_step(engine, random_batch(8), config).loss)
        asked.append(network.latents + network.times)
    assert equal(*asked)
    expected = sample_timesteps(random_batch(8).uniform, config.timestep_law, config.timestep_shift)
    assert torch.equal(asked[1][1], expected * 1000)
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


@pytest.mark.parametrize("section", ["adversarial_images", "adversarial_videos"])
def test_adversarial_training_in_bfloat16_asks_at_the_times_of_float32(section):
    asked, rows, config = [], [], getattr(PROFILE, section)
    for dtype in DTYPES:
        (engine, network), critic = trained(dtype), Asked(tiny_discriminator(TINY))
        engines = engine, PlainEngine(critic, bf16=dtype == torch.bfloat16)
        draws = list(draw_parts(random_batch(8), config, 1))
        rows.append(discriminator_step(*engines, draws, config) | generator_step(*engines, draws, config))
        asked.append(network.latents + network.times + critic.times)
        real, _, perturbed = critic.latents[0].chunk(3) if config.stacked else critic.latents[:3]
        torch.testing.assert_close(perturbed - real, config.penalty_sigma * draws[0].perturbation[0], atol=1e-6, rtol=0)
    assert equal(*asked)
    for name in ("discriminator_loss", "generator_loss"):
        assert rows[1][name] == pytest.approx(rows[0][name], rel=0.02), name


def test_the_probes_trajectories_end_where_those_of_float32_do():
    config, times, moved = PROFILE.adversarial_videos, [], []
    for dtype in DTYPES:
        network, probe = generator(dtype), Probe(config, random_batch(config.probe.conditions))
        probe.follow(network)
        times.append(network.times)
        moved.append(probe.teacher["sample"])
        assert all(x.dtype == torch.float32 for x in network.latents)
    assert equal(*times)
    steps = torch.linspace(1, 0, config.probe.teacher_steps + 1)[:-1] * 1000
    assert torch.equal(torch.stack(times[1])[: len(steps), 0], steps)
    torch.testing.assert_close(moved[1], moved[0], atol=0.05, rtol=0)


def test_a_look_in_bfloat16_asks_at_the_times_of_float32():
    stage, times, losses = PROFILE.stage_3, [], []
    every = Conditions(True, True, True, True)
    for dtype in DTYPES:
        engine, network = trained(dtype)
        look = HeldOutValidation.__new__(HeldOutValidation)
        look.stage, look.config, look.engine = stage, stage.watch, engine
        look.data = SimpleNamespace(chosen=lambda rows, on: random_batch(4))
        look.sets = [("pose", every, [0, 1, 2, 3])]
        losses.append(look.held_out_losses()["held_out/loss"])
        batch = random_batch(4).to(CPU, dtype)
        made = trajectory_end(engine, batch.noise, batch.conditions(), stage.watch.video_steps)
        assert made.dtype == torch.float32
        times.append(network.times)
    assert equal(*times)
    steps = torch.linspace(1, 0, stage.watch.video_steps + 1)[:-1] * 1000
    assert torch.equal(torch.stack(times[1])[-len(steps) :, 0], steps)
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


def test_rotary_tables_stay_exact_in_a_teacher_of_bfloat16():
    network, exact = generator(torch.bfloat16).network, tiny_generator(TINY)
    assert network.proj_out.weight.dtype == torch.bfloat16 and network.scale_shift_table.dtype == torch.float32
    assert torch.equal(network.rope.freqs_cos, exact.rope.freqs_cos) and network.rope.freqs_sin.dtype == torch.float32


def test_the_pipeline_samples_in_bfloat16_at_the_times_of_float32():
    from diffusers import FlowMatchEulerDiscreteScheduler

    times, ends = [], []
    for dtype in DTYPES:
        network = generator(dtype)
        pipeline = OmniHumanPipeline.__new__(OmniHumanPipeline)
        pipeline.transformer, pipeline.scheduler = network, FlowMatchEulerDiscreteScheduler(shift=1.0)
        pipeline.progress_bar = lambda steps: steps
        batch = random_batch(2).to(CPU, dtype)
        made = pipeline.sample(batch.conditions(), 2, 9, 32, 32, 25, noise=batch.noise.to(dtype).float())
        times.append(network.times)
        ends.append(made)
    assert equal(*times)
    assert times[1][1][0].item() == pytest.approx(960) and ends[1].dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_network_refuses_a_time_that_was_rounded(dtype):
    network, batch = tiny_generator(TINY), random_batch(1)
    with pytest.raises(InputError, match="neighbouring times are one: give it in float32"):
        network(batch.latents, torch.full((1,), 999.0, dtype=dtype), **batch.conditions())
