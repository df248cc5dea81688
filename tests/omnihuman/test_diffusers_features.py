"""What a diffusers user expects of a transformer works here too: backends, compilation, checkpointing, LoRA, fine-tuning."""

import pytest
import torch
from diffusers.models.attention_dispatch import AttentionBackendName, _AttentionBackendRegistry
from peft import LoraConfig
from torch._dynamo.testing import CompileCounter

from omnihuman import OmniHumanTransformer3DModel

SIZES = {
    "num_attention_heads": 2,
    "attention_head_dim": 24,
    "text_dim": 32,
    "ffn_dim": 64,
    "num_layers": 2,
    "audio_dim": 8,
    "audio_layers": 3,
    "audio_window": 1,
    "pose_keypoints": 4,
    "pose_channels": 4,
}


@pytest.fixture
def model():
    """No part is zero, so that each is heard."""
    torch.manual_seed(0)
    built = OmniHumanTransformer3DModel(**SIZES)
    for parameter in built.parameters():
        parameter.data.add_(torch.randn(parameter.shape) * 0.05)
    return built


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(1)

    def randn(*shape):
        return torch.randn(shape, generator=generator)

    return {
        "hidden_states": randn(2, 16, 3, 4, 4),
        "timestep": torch.tensor([100.0, 900.0]),
        "encoder_hidden_states": randn(2, 5, 32),
        "audio": randn(2, 9, 3, 8),
        "pose": randn(2, 4, 9, 16, 16).abs(),
        "reference": randn(2, 16, 1, 4, 4),
        "motion": randn(2, 16, 2, 4, 4),
        "audio_mask": torch.tensor([1.0, 0.0]),
        "reference_mask": torch.tensor([0.0, 1.0]),
    }


def gradients(model, inputs):
    model.zero_grad()
    model(**inputs).sample.square().mean().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@torch.no_grad()
def test_the_attention_backend_reaches_all_three_attentions_of_a_block(model, inputs, monkeypatch):
    asked = []
    real = _AttentionBackendRegistry._backends[AttentionBackendName._NATIVE_MATH]

    def counted(**kwargs):
        asked.append(kwargs["key"].shape[1])
        return real(**kwargs)

    expected = model(**inputs).sample
    monkeypatch.setitem(_AttentionBackendRegistry._backends, AttentionBackendName._NATIVE_MATH, counted)
    # The call sets the backend of whatever is built later, too, and no other call takes that back.
    monkeypatch.setattr(_AttentionBackendRegistry, "_active_backend", _AttentionBackendRegistry._active_backend)
    model.set_attention_backend("_native_math")
    torch.testing.assert_close(model(**inputs).sample, expected, rtol=1e-4, atol=1e-5)
    # Keys of self-attention (12 video, 8 motion, 4 reference), text, and the four audio tokens of a latent frame.
    assert asked == [24, 5, 4] * 2


def test_activation_checkpointing_changes_no_gradient(model, inputs):
    plain = gradients(model, inputs)
    model.enable_gradient_checkpointing()
    again = gradients(model, inputs)
    assert plain.keys() == again.keys() and all(torch.equal(plain[k], again[k]) for k in plain)


@pytest.fixture
def compiler():
    # The tests' environment switches compilation off, as the training launcher does.
    with torch._dynamo.config.patch(disable=False):
        torch._dynamo.reset()
        yield
        torch._dynamo.reset()


def test_a_block_is_one_graph(model, inputs, compiler):
    plain = gradients(model, inputs)
    traced = CompileCounter()
    model.compile_repeated_blocks(fullgraph=True, backend=traced)
    again = gradients(model, inputs)
    assert traced.frame_count == 1  # once for both blocks
    assert all(torch.allclose(plain[k], again[k], rtol=1e-4, atol=1e-7) for k in plain)


@pytest.mark.end_to_end
def test_compiled_blocks_equal_eager_ones(model, inputs, compiler):
    plain, expected = gradients(model, inputs), model(**inputs).sample
    model.compile_repeated_blocks(fullgraph=True)
    torch.testing.assert_close(model(**inputs).sample, expected, rtol=1e-4, atol=1e-5)
    again = gradients(model, inputs)
    assert all(torch.allclose(plain[k], again[k], rtol=1e-3, atol=1e-6) for k in plain)


def test_lora_trains_every_attention_and_survives_saving_and_fusing(model, inputs, tmp_path):
    base = {k: v.clone() for k, v in model.state_dict().items()}
    model.add_adapter(LoraConfig(r=2, lora_alpha=4, target_modules=list(model.lora_targets)))
    adapted = {name.rsplit(".lora_A", 1)[0] for name, _ in model.named_parameters() if ".lora_A." in name}
    attentions = {f"blocks.{i}.{name}" for i in range(2) for name in ("attn1", "attn2", "audio_attn")}
    outputs = {f"{name}.{'to_out' if name.endswith('audio_attn') else 'to_out.0'}" for name in attentions}
    assert adapted == outputs | {f"{name}.to_{part}" for name in attentions for part in "qkv"}

    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.02)
    before = model(**inputs).sample.detach()
    for _ in range(2):  # B starts at zero, so A moves from the second step on
        optimizer.zero_grad()
        loss = model(**inputs).sample.square().mean()
        loss.backward()
        optimizer.step()
    after = model(**inputs).sample.detach()
    assert after.square().mean() < before.square().mean()
    assert all(
        p.grad.abs().max() > 0
        for name, p in model.named_parameters()
        if "audio_attn" in name and "lora_" in name and "to_k" not in name
    )

    model.save_lora_adapter(tmp_path)
    fresh = OmniHumanTransformer3DModel(**SIZES)
    fresh.load_state_dict(base)
    fresh.load_lora_adapter(tmp_path, prefix=None, use_safetensors=True)
    with torch.no_grad():
        torch.testing.assert_close(fresh(**inputs).sample, after, rtol=1e-5, atol=1e-6)
        fresh.fuse_lora()
        torch.testing.assert_close(fresh(**inputs).sample, after, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="unload_lora"):
        fresh.save_wan(tmp_path / "wan")
    fresh.unload_lora()
    fresh.save_wan(tmp_path / "wan")
    assert (tmp_path / "wan" / "config.json").is_file()


def test_full_fine_tuning_moves_every_parameter_that_can_move(model, inputs):
    before = {k: v.clone() for k, v in model.named_parameters()}
    target = torch.randn(2, 16, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = (model(**inputs).sample - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses == sorted(losses, reverse=True)
    still = [k for k, v in model.named_parameters() if torch.equal(v, before[k])]
    assert still == []


def test_half_of_the_blocks_can_be_deaf(inputs):
    model = OmniHumanTransformer3DModel(**SIZES, audio_blocks=(1,))
    assert [block.audio_attn is not None for block in model.blocks] == [False, True]
    heard = gradients(model, inputs)
    assert any(name.startswith("blocks.1.audio_attn") for name in heard)
    with pytest.raises(ValueError, match=r"audio_blocks \[2\]"):
        OmniHumanTransformer3DModel(**SIZES, audio_blocks=(2,))


@pytest.mark.parametrize(("name", "shape"), [("audio", (2, 5, 3, 8)), ("pose", (2, 4, 1, 16, 16))])
def test_a_condition_of_another_length_is_refused_and_not_broadcast(model, inputs, name, shape):
    with pytest.raises(
        ValueError, match=f"{name} has {shape[1] if name == 'audio' else shape[2]} frames; 3 latents are 9 frames"
    ):
        model(**inputs | {name: torch.randn(shape)})


@torch.no_grad()
@pytest.mark.parametrize("position", ["far", "zero"])
def test_both_reference_positions_carry_the_reference_and_differ(model, inputs, position):
    variant = OmniHumanTransformer3DModel(**SIZES, reference_position=position)
    variant.load_state_dict(model.state_dict())
    given = {k: v for k, v in inputs.items() if k != "reference_mask"}
    without = {k: v for k, v in given.items() if k != "reference"}
    assert (variant(**given).sample - variant(**without).sample).abs().max() > 1e-4
    other = OmniHumanTransformer3DModel(**SIZES, reference_position="zero" if position == "far" else "far")
    other.load_state_dict(model.state_dict())
    assert (variant(**given).sample - other(**given).sample).abs().max() > 1e-5
    assert torch.equal(variant(**without).sample, other(**without).sample)


def test_the_far_reference_is_not_reached_by_a_long_video():
    model = OmniHumanTransformer3DModel(**SIZES, reference_index=3)
    given = {
        "hidden_states": torch.randn(1, 16, 4, 4, 4),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 5, 32),
    }
    with pytest.raises(ValueError, match="4 video latents reach the reference's temporal index 3"):
        model(**given, reference=torch.randn(1, 16, 1, 4, 4))


@torch.no_grad()
@pytest.mark.parametrize(
    ("window", "moved"), [(0, [False, True, False]), (1, [True, True, False]), (4, [True, True, True])]
)
def test_the_window_decides_which_latents_hear_a_frame(window, moved):
    """Frame 1 opens latent 1; frame 0 is latent 0, frames 5 to 8 are latent 2."""
    torch.manual_seed(0)
    projection = OmniHumanTransformer3DModel(**SIZES | {"audio_window": window}).audio_projection
    audio = torch.randn(1, 9, 3, 8)
    changed = audio.clone()
    changed[:, 1] = torch.randn(3, 8)
    difference = (projection(audio) - projection(changed)).abs().amax(dim=(0, 2, 3))
    assert (difference > 1e-6).tolist() == moved
