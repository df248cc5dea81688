"""The streaming student's training: videos of its own, one pass that gives them again, and a discriminator that knows no future."""

import pytest
import torch

from benchmarks.training.plain_engine import awake
from omnihuman.streaming.attention import Memory
from omnihuman.streaming.causal import CausalTransformer
from omnihuman.streaming.settings import Streaming
from profiles import load_profile
from tests.training.tiny_networks import random_batch, tiny_generator, tiny_profile
from training.distillation.critic_probe import Probe
from training.distillation.streaming import StreamingValidation
from training.distillation.streaming_critic import CausalDiscriminator
from training.distillation.streaming_videos import (
    Window,
    disturbed,
    frame_of_clip,
    inputs_at,
    roll_out,
    whole_video,
)
from training.stages.model import build_transformer

PROFILE = tiny_profile()
STREAMING = Streaming(2, lookahead=2)


@pytest.fixture(scope="module")
def student():
    return CausalTransformer(tiny_generator(PROFILE).eval().requires_grad_(False), STREAMING)


def given(size: int = 2):
    return random_batch(size).conditions().without("motion")


def test_windows_follow_one_another():
    windows = [Window(number, 5) for number in range(3)]
    assert [(w.start, w.latents, w.stop, w.of_clip) for w in windows] == [(0, 5, 5, 0), (5, 4, 9, 1), (9, 4, 13, 1)]
    # Frames 17 to 32 of the video are frames 1 to 16 of the clip again.
    assert [frame_of_clip(frame, 17) for frame in (0, 16, 17, 32, 33)] == [0, 16, 1, 16, 1]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_pass_over_a_videos_own_latents_gives_it_again(student, number):
    """Why student forcing needs no gradient through the steps."""
    window, conditions = Window(number, 3), given()
    noise = torch.randn(2, 16, window.stop, 4, 4, generator=torch.Generator().manual_seed(3))
    own = roll_out(student, noise, conditions, window)
    inputs = inputs_at(conditions, window.start, window.latents, window.stop, STREAMING.lookahead)
    again, _ = student(noise[:, :, window.start :], own.past, inputs, window.start, own.memory)
    assert own.latents.shape[2] == window.latents
    assert (again - own.latents).abs().max() < 2e-5


def test_a_later_window_goes_on_from_the_one_before(student):
    conditions = given()
    noise = torch.randn(2, 16, 5, 4, 4, generator=torch.Generator().manual_seed(3))
    second = roll_out(student, noise, conditions, Window(1, 3))
    other = noise.clone()
    other[:, :, :3] += 1
    assert second.memory.latents == 2 and second.past.shape[2] == 2
    assert not roll_out(student, other, conditions, Window(1, 3)).latents.allclose(second.latents)


def test_the_gradient_reaches_every_part_of_the_student():
    student = CausalTransformer(tiny_generator(PROFILE), STREAMING)
    conditions, batch = given(4), random_batch(4)
    made, _ = student(batch.noise, batch.latents[:, :, :-1], inputs_at(conditions, 0, 3, 3, 2))
    made.square().mean().backward()
    without = [name for name, p in student.named_parameters() if p.grad is None or not p.grad.any()]
    # Nothing else is new, and of the two token types both are used.
    assert without == []


def test_a_logit_for_every_latent_knows_no_later_one():
    torch.manual_seed(2)
    critic = CausalDiscriminator(CausalTransformer(awake(build_transformer(PROFILE, None, 1)), STREAMING)).eval()
    conditions, batch = inputs_at(given(), 0, 3, 3, 2), random_batch(2)
    t = torch.full((2,), 0.4)
    logits = critic(batch.latents, t, conditions)
    later = batch.latents.clone()
    later[:, :, 2] += 1
    changed = critic(later, t, conditions)
    assert logits.shape == (2, 3)
    assert changed[:, :2].equal(logits[:, :2]) and not changed[:, 2].allclose(logits[:, 2])


def test_a_part_of_a_clip_is_judged_where_it_stands():
    torch.manual_seed(2)
    critic = CausalDiscriminator(CausalTransformer(awake(build_transformer(PROFILE, None, 1)), STREAMING)).eval()
    batch, t = random_batch(2), torch.full((2,), 0.4)
    inputs = inputs_at(given(), 1, 2, 3, 2)
    inputs = inputs | {"reference": given().reference, "reference_mask": given().reference_mask}
    part = critic(batch.latents[:, :, 1:], t, inputs, start=1)
    assert part.shape == (2, 2) and part.isfinite().all()


def test_a_past_is_spoiled_where_it_is_drawn_and_nowhere_else():
    past, which = torch.randn(6, 16, 2, 4, 4), torch.tensor([True, False, True, True, False, True])
    made = disturbed(past, which, torch.Generator().manual_seed(0))
    assert [not one.equal(other) for one, other in zip(made, past, strict=True)] == which.tolist()
    assert made.isfinite().all()
    assert disturbed(past, which, torch.Generator().manual_seed(0)).equal(made)


def test_the_probe_looks_at_videos_made_latent_by_latent(student):
    batch = random_batch(2)
    probe = Probe(PROFILE.adversarial_videos.model_copy(), batch, generate=whole_video)
    noise = probe.noise[:1].expand(2, *probe.noise.shape[1:])
    assert whole_video(student, noise, given()).shape == noise.shape
    assert set(probe.diversity(student)) == {"diversity/seeds", "diversity/prompts"}


@pytest.mark.parametrize("first_look", [2, 3])
def test_collapses_are_measured_by_what_the_student_is_when_it_has_followed(first_look, monkeypatch):
    """Also where the update that ends the following was not finite, so that nobody looked after it."""
    assert (streaming := load_profile("laptop").streaming) is not None
    probe = streaming.probe.model_copy(update={"every": 50})
    config = streaming.model_copy(update={"teacher_forcing": 2, "updates": 100, "probe": probe})
    validation = StreamingValidation(config, None, None, None)
    monkeypatch.setattr(validation, "_diversity", lambda: {"diversity/seeds": 0.5})
    assert validation.measure(1, False, None) == {} and not validation.watch.start
    validation.measure(first_look, False, None)
    assert validation.watch.start == {"diversity/seeds": 0.5}


def test_nothing_is_finished_before_a_video_begins(student):
    assert Memory().latents == 0 and Memory().bytes() == 0
    noise = torch.randn(2, 16, 1, 4, 4)
    _, memory = student(noise, noise[:, :, :0], inputs_at(given(), 0, 1, 3, 2))
    assert memory.latents == 0 and memory.bytes() > 0


def test_a_profile_without_the_section_says_so():
    assert load_profile("wan2.1-1.3b").streaming is None
