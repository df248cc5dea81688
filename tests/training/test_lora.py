"""LoRA trains low-rank updates of Wan's matrices, and merges into a model of plain names that gives the same output."""

import pytest
import torch

from omnihuman import OmniHumanTransformer3DModel
from omnihuman.bases.weights import new_parameters
from profiles.schema import LoraConfig
from training.run.product import rebuild
from training.stages.lora import add_lora, merged

SIZES = {"num_attention_heads": 2, "attention_head_dim": 24, "text_dim": 32, "ffn_dim": 64, "num_layers": 2}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return OmniHumanTransformer3DModel(**SIZES, audio_dim=8, audio_layers=2, pose_keypoints=2, pose_channels=4)


@pytest.fixture
def given():
    generator = torch.Generator().manual_seed(1)
    return {
        "hidden_states": torch.randn(2, 16, 3, 4, 4, generator=generator),
        "timestep": torch.tensor([500.0, 20.0]),
        "encoder_hidden_states": torch.randn(2, 5, 32, generator=generator),
        "audio": torch.randn(2, 9, 2, 8, generator=generator),
    }


def test_only_the_low_rank_update_and_new_parts_are_trained(model):
    new = new_parameters(model)
    add_lora(model, LoraConfig(rank=2))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(".lora_" in name for name in trained - new) and new < trained
    roots = {name.split(".")[0] if not name.startswith("blocks.") else name.split(".")[2] for name in new}
    assert roots == {"audio_projection", "pose_guider", "pose_patch_embedding", "token_types", "audio_attn"}
    assert any("attn1.to_q.lora_A" in name for name in trained)
    assert not any("attn1.to_q.base_layer" in name for name in trained)


class WithBrightness(OmniHumanTransformer3DModel):
    """A made-up condition: one parameter of the model and one of its first block, of which no list knows."""

    def build_outside(self):
        super().build_outside()
        self.brightness = torch.nn.Parameter(
            torch.zeros(self.config.num_attention_heads * self.config.attention_head_dim)
        )

    def embed_video(self, hidden_states, inputs):
        return super().embed_video(hidden_states, inputs) + self.brightness


def test_a_part_that_nobody_listed_is_found_and_trained(given):
    model = WithBrightness(**SIZES, audio_dim=8, audio_layers=2, pose_keypoints=2, pose_channels=4)
    model.blocks[0].gain = torch.nn.Linear(2, 2)
    add_lora(model, LoraConfig(rank=2))
    assert model.brightness.requires_grad and model.blocks[0].gain.weight.requires_grad
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    model(**given).sample.square().mean().backward()
    optimizer.step()
    assert model.brightness.detach().abs().max() > 0
    assert not any("lora" in name for name, _ in model.blocks[0].gain.named_parameters())


def test_the_merged_model_gives_the_adapted_models_output(model, given):
    plain = OmniHumanTransformer3DModel.from_config(model.config)
    plain.load_state_dict(model.state_dict())
    add_lora(model, LoraConfig(rank=2, alpha=4.0))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        model(**given).sample.square().mean().backward()
        optimizer.step()
    finished = rebuild(model, merged(dict(model.named_parameters()), model)).eval()
    with torch.no_grad():
        adapted = model.eval()(**given).sample
        torch.testing.assert_close(finished(**given).sample, adapted, rtol=1e-4, atol=1e-5)
        assert (plain.eval()(**given).sample - adapted).abs().max() > 1e-3
    assert set(finished.state_dict()) == set(plain.state_dict())


def test_a_target_that_names_nothing_is_refused(model):
    with pytest.raises(ValueError, match="attn9"):
        add_lora(model, LoraConfig(targets=("attn1.to_q", "attn9.to_q")))
