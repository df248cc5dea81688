"""What the flight recorder says of generators whose behaviour is known."""

import pytest
import torch

from benchmarks.training.plain_engine import PlainEngine
from tests.training.tiny_networks import random_batch, tiny_discriminator, tiny_generator, tiny_profile
from training.distillation.critic_probe import Probe, kept_for, probe_conditions
from training.distillation.gradient_cosine import GradientCosine
from training.distillation.updates import draw_parts, generator_step, spread
from training.flow_matching import trajectory_end

CONFIG = tiny_profile().adversarial_videos


class Known(torch.nn.Module):
    """One step gives noise * seeds + audio * prompts + reference * prompts, of every sample's own conditions."""

    def __init__(self, seeds: float, prompts: float):
        super().__init__()
        self.seeds, self.prompts = seeds, prompts
        self.anchor = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x, timestep, return_dict, audio, reference, **others):
        shown = self.prompts * (audio.mean((1, 2, 3)).view(-1, 1, 1, 1, 1) + reference)
        return (x - (self.seeds * x + shown),)


@pytest.fixture
def probe():
    return Probe(CONFIG, random_batch(4))


def test_diversity_tells_seeds_from_prompts(probe):
    both, no_seeds, no_prompts = (probe.diversity(Known(*given)) for given in ((1, 1), (0, 1), (1, 0)))
    assert no_seeds["diversity/seeds"] < 1e-6 and no_prompts["diversity/prompts"] < 1e-6
    assert no_seeds["diversity/prompts"] == pytest.approx(both["diversity/prompts"], rel=1e-4)
    # Two independent standard normals differ by sqrt(2) per element.
    assert no_prompts["diversity/seeds"] == pytest.approx(2**0.5, rel=0.05)
    assert probe.diversity(Known(0.5, 0))["diversity/seeds"] == pytest.approx(
        no_prompts["diversity/seeds"] / 2, rel=1e-4
    )


def test_following_is_one_for_the_teachers_moves_and_falls_with_a_condition_that_is_ignored(probe):
    teacher = Known(1, 1)
    probe.teacher_steps = 1  # one Euler step of an affine velocity is one_step itself
    probe.follow(teacher)
    same = probe.following(teacher)
    assert same["following/audio"] == pytest.approx(1) and same["following/reference"] == pytest.approx(1)
    assert same["teacher_distance"] == pytest.approx(0, abs=1e-6)
    opposite = probe.following(Known(1, -1))
    assert opposite["following/audio"] == pytest.approx(-1)
    ignoring = probe.following(Known(1, 0))
    assert ignoring["following/audio"] == 0 and ignoring["teacher_distance"] > 0.1


def test_the_teachers_trajectories_are_kept_for_a_run_and_no_other(probe, tmp_path):
    path = tmp_path / "probe.safetensors"
    assert not kept_for(path, "a")
    probe.follow(Known(1, 1))
    probe.keep(path, "a")
    assert kept_for(path, "a") and not kept_for(path, "b")
    first, probe.teacher = probe.teacher, {}
    probe.recall(path)
    assert probe.teacher.keys() == first.keys() and all(torch.equal(probe.teacher[name], first[name]) for name in first)


def test_the_images_phase_exchanges_no_sound():
    images = tiny_profile().adversarial_images
    assert not probe_conditions(images).audio and probe_conditions(CONFIG).audio and not probe_conditions(CONFIG).pose


def test_a_trajectory_of_a_straight_flow_ends_at_the_data():
    x_0, noise = torch.randn(2, 16, 1, 2, 2), torch.randn(2, 16, 1, 2, 2)

    def straight(x, timestep, return_dict, **conditions):
        return (noise - x_0,)

    torch.testing.assert_close(trajectory_end(straight, noise, {}, 7), x_0, atol=1e-5, rtol=0)


def test_spread_of_known_points():
    assert spread(torch.tensor([[0.0, 0.0], [2.0, 2.0]])).item() == pytest.approx(2)
    assert spread(torch.zeros(1, 4)).item() == 1


def test_the_cosine_is_that_of_two_successive_gradients(tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        engine = PlainEngine(tiny_generator(tiny_profile()), CONFIG.generator)
        engine.basic_optimizer = engine.optimizer  # type: ignore[attr-defined]
        cosine, critic, seen = GradientCosine(engine), PlainEngine(tiny_discriminator(tiny_profile())), []
        engine.optimizer.register_step_pre_hook(
            lambda optimizer, *_: seen.append(
                torch.cat([p.grad.flatten() for p in engine.module.parameters() if p.grad is not None])
            )
        )
        read = []
        for update in range(3):
            generator_step(engine, critic, draw_parts(random_batch(4, update), CONFIG, 1), CONFIG)
            read.append(cosine.read())
        assert read[0] == {}
        for update in (1, 2):
            expected = torch.cosine_similarity(seen[update], seen[update - 1], dim=0).item()
            assert read[update]["generator_gradient_cosine"] == pytest.approx(expected, abs=1e-5)
    finally:
        torch.distributed.destroy_process_group()
