"""APT's discriminator: what it starts from, where it reads, and that every condition reaches its logit."""

import pytest
import torch

from tests.training.tiny_networks import random_batch, tiny_discriminator, tiny_profile
from training.distillation.discriminator import Discriminator, head_blocks
from training.errors import TrainingError
from training.stages.model import build_transformer

PROFILE = tiny_profile()


def test_it_starts_from_the_backbones_weights_and_trains_all_of_them_but_the_velocity_read_out():
    backbone = build_transformer(PROFILE, None, 5)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    discriminator = Discriminator(backbone)
    assert all(torch.equal(before[name], value) for name, value in discriminator.backbone.state_dict().items())
    still = {name for name, p in discriminator.named_parameters() if not p.requires_grad}
    assert still == {"backbone.proj_out.weight", "backbone.proj_out.bias", "backbone.scale_shift_table"}


def test_every_trained_weight_gets_a_gradient():
    discriminator, part = tiny_discriminator(PROFILE), random_batch(4)
    discriminator(part.latents, part.uniform, part.conditions()).sum().backward()
    missing = [name for name, p in discriminator.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


@torch.no_grad()
@pytest.mark.parametrize("name", ["encoder_hidden_states", "audio", "pose", "reference"])
def test_each_condition_changes_the_logit(name):
    discriminator, part = tiny_discriminator(PROFILE).eval(), random_batch(4)
    conditions = part.conditions()
    conditions |= {mask: torch.ones(4) for mask in ("audio_mask", "pose_mask", "reference_mask")}
    logits = discriminator(part.latents, part.uniform, conditions)
    other = discriminator(part.latents, part.uniform, conditions | {name: conditions[name].roll(1, 0)})
    assert (logits - other).abs().min() > 1e-4


@torch.no_grad()
def test_the_timestep_changes_the_logit():
    discriminator, part = tiny_discriminator(PROFILE).eval(), random_batch(2)
    conditions = part.conditions()
    made = [discriminator(part.latents, torch.full((2,), t), conditions) for t in (0.1, 0.9)]
    assert (made[0] - made[1]).abs().min() > 1e-4


def test_the_last_layer_variant_reads_one_token_and_the_full_one_three():
    assert head_blocks(30, "last") == (30,)
    assert [len(tiny_discriminator(PROFILE, heads).query_heads) for heads in ("apt", "last")] == [3, 1]
    assert tiny_discriminator(PROFILE, "last").logit.in_features * 3 == tiny_discriminator(PROFILE).logit.in_features


@torch.no_grad()
def test_in_bfloat16_the_logit_is_float32_and_a_small_perturbation_still_shows():
    discriminator, part = (
        tiny_discriminator(PROFILE).bfloat16().eval(),
        random_batch(4).to(torch.device("cpu"), torch.bfloat16),
    )
    conditions = part.conditions()
    t = torch.full((4,), 0.9)
    clean, perturbed = (
        discriminator(x, t, conditions) for x in (part.latents, part.latents + 0.05 * torch.randn_like(part.latents))
    )
    assert clean.dtype == torch.float32
    assert (clean - perturbed).abs().min() > 0


@pytest.mark.parametrize("layers", [1, 2])
def test_a_backbone_with_fewer_layers_than_heads_is_refused_with_the_remedy(layers):
    with pytest.raises(TrainingError, match=f"{layers} layers has no 3 heads.*num_layers to 3"):
        head_blocks(layers)
