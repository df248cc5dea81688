"""The backbone is Wan's until a condition says otherwise, and each condition reaches what it should."""

from collections import Counter

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch.utils._python_dispatch import TorchDispatchMode

from omnihuman import OmniHumanTransformer3DModel
from omnihuman.conditions.inputs import ConditionInputs

WAN = {"num_attention_heads": 2, "attention_head_dim": 24, "text_dim": 32, "ffn_dim": 64, "num_layers": 2}
NEW = {"audio_dim": 8, "audio_layers": 3, "audio_window": 0, "pose_keypoints": 4, "pose_channels": 4}


@pytest.fixture(scope="module")
def wan(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("wan")
    model = WanTransformer3DModel(**WAN)
    model.save_pretrained(folder)
    return model.eval(), folder


@pytest.fixture
def model(wan):
    return OmniHumanTransformer3DModel.from_wan(str(wan[1]), **NEW).eval()


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)

    def randn(*shape):
        return torch.randn(shape, generator=generator)

    base = {
        "hidden_states": randn(2, 16, 3, 4, 4),
        "timestep": torch.tensor([100.0, 900.0]),
        "encoder_hidden_states": randn(2, 5, 32),
    }
    conditions = {"audio": randn(2, 9, 3, 8), "pose": randn(2, 4, 9, 16, 16).abs()}
    packed = {"reference": randn(2, 16, 1, 4, 4), "motion": randn(2, 16, 2, 4, 4)}
    return base, conditions, packed


def awaken(model):
    """Give the zero-initialised parts values, as training does."""
    torch.manual_seed(3)
    for block in model.blocks:
        torch.nn.init.normal_(block.audio_attn.to_out.weight, std=0.1)
    torch.nn.init.normal_(model.pose_patch_embedding.weight, std=0.1)
    torch.nn.init.normal_(model.token_types, std=0.1)
    return model


@torch.no_grad()
def test_without_conditions_the_output_is_wans_bit_for_bit(wan, model, inputs):
    base, _, _ = inputs
    assert torch.equal(wan[0](**base).sample, model(**base).sample)


@torch.no_grad()
def test_zero_initialised_audio_and_pose_leave_the_output_bit_for_bit(wan, model, inputs):
    base, conditions, _ = inputs
    assert torch.equal(wan[0](**base).sample, model(**base, **conditions).sample)


@torch.no_grad()
def test_trained_weights_without_conditions_are_still_wans_forward(wan, model, inputs):
    assert torch.equal(wan[0](**inputs[0]).sample, awaken(model)(**inputs[0]).sample)


class CountedOperations(TorchDispatchMode):
    """How often each operation ran, and how many numbers it made."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        output = operation(*args, **(kwargs or {}))
        self.counts[str(operation), output.numel() if isinstance(output, torch.Tensor) else 0] += 1
        return output


def test_without_conditions_forward_and_backward_run_wans_operations_and_no_others(wan, model, inputs):
    seen = []
    for each in (wan[0], model):
        each(
            **inputs[0]
        ).sample.square().mean().backward()  # the first backward pass makes the gradients, later ones add
        with CountedOperations() as counted:
            each(**inputs[0]).sample.square().mean().backward()
        seen.append(counted.counts)
    assert sum(seen[0].values()) > 500 and seen[0] == seen[1]


@torch.no_grad()
@pytest.mark.parametrize("name", ["audio", "pose", "reference", "motion"])
def test_a_masked_condition_equals_an_absent_one(model, inputs, name):
    base, conditions, packed = inputs
    given = (conditions | packed)[name]
    awaken(model)
    mixed = model(**base, **{name: given, f"{name}_mask": torch.tensor([1.0, 0.0])}).sample
    torch.testing.assert_close(mixed[1], model(**base).sample[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mixed[0], model(**base, **{name: given}).sample[0], rtol=1e-5, atol=1e-6)
    assert (mixed[0] - model(**base).sample[0]).abs().max() > 1e-4


@torch.no_grad()
def test_motion_and_reference_are_masked_each_by_its_own_mask(model, inputs):
    base, _, packed = inputs
    awaken(model)
    masks = {"motion_mask": torch.tensor([1.0, 0.0]), "reference_mask": torch.tensor([0.0, 1.0])}
    mixed = model(**base, **packed, **masks).sample
    torch.testing.assert_close(mixed[0], model(**base, motion=packed["motion"]).sample[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(mixed[1], model(**base, reference=packed["reference"]).sample[1], rtol=1e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(("frame", "latent"), [(0, 0), (1, 1), (4, 1), (5, 2), (8, 2)])
def test_audio_of_a_frame_reaches_its_latent_and_no_other(model, inputs, frame, latent):
    base, conditions, _ = inputs
    block = awaken(model).blocks[0].audio_attn
    changed = conditions["audio"].clone()
    changed[:, frame] = torch.randn(2, 3, 8)  # a constant would vanish in the layer norm
    tokens = torch.randn(2, 3 * 4, 48)
    before = block(tokens, model.audio_projection(conditions["audio"]), None).unflatten(1, (3, 4))
    after = block(tokens, model.audio_projection(changed), None).unflatten(1, (3, 4))
    moved = (before - after).abs().amax(dim=(0, 2, 3)) > 1e-6
    assert moved.tolist() == [k == latent for k in range(3)]


@torch.no_grad()
@pytest.mark.parametrize("position", ["far", "zero"])
def test_no_packed_token_shares_a_video_tokens_rotation(wan, inputs, position):
    base, _, packed = inputs
    model = OmniHumanTransformer3DModel.from_wan(str(wan[1]), **NEW, reference_position=position)
    _, sequence, _ = model.pack(
        base["hidden_states"],
        base["timestep"],
        ConditionInputs(
            base["encoder_hidden_states"],
            reference=packed["reference"],
            motion=packed["motion"],
        ),
    )
    rotations = torch.cat(sequence.rotary, dim=-1)[0, :, 0]
    assert len(torch.unique(rotations, dim=0)) == len(rotations)


@torch.no_grad()
def test_zero_position_has_no_temporal_rotation(wan, inputs):
    model = OmniHumanTransformer3DModel.from_wan(str(wan[1]), **NEW, reference_position="zero")
    cosine, sine = model.packed_tables(inputs[2]["reference"], 0, inputs[0]["hidden_states"])
    assert torch.all(cosine[..., : model.rope.t_dim] == 1) and torch.all(sine[..., : model.rope.t_dim] == 0)


def test_every_new_part_gets_a_gradient_after_the_zero_start(model, inputs):
    base, conditions, packed = inputs
    awaken(model)(**base, **conditions, **packed).sample.square().mean().backward()
    dead = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # `slot_embedding` of latent 0's copies and the like all move; only the bias of keys has no effect in a softmax.
    assert all(name.endswith("to_k.bias") or "norm_k" in name for name in dead), dead


def test_activation_checkpointing_changes_nothing(model, inputs):
    base, conditions, packed = inputs
    awaken(model).train()
    plain = model(**base, **conditions, **packed).sample
    model.enable_gradient_checkpointing()
    assert torch.equal(plain, model(**base, **conditions, **packed).sample)


@torch.no_grad()
def test_saved_models_load_with_their_own_configuration(model, inputs, tmp_path):
    awaken(model).save_pretrained(tmp_path)
    again = OmniHumanTransformer3DModel.from_pretrained(tmp_path)
    base, conditions, packed = inputs
    assert torch.equal(
        model(**base, **conditions, **packed).sample, again.eval()(**base, **conditions, **packed).sample
    )


def test_audio_of_another_encoder_is_refused_by_both_numbers(model, inputs):
    with pytest.raises(ValueError, match=r"\(4, 8\).*\(3, 8\)"):
        model(**inputs[0], audio=torch.randn(2, 9, 4, 8))


def test_a_frame_count_that_is_not_4n_plus_1_is_refused(model, inputs):
    with pytest.raises(ValueError, match="4n.1"):
        model(**inputs[0], audio=torch.randn(2, 8, 3, 8))
