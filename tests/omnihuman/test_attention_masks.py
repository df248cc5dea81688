"""Self-attention gets a mask only where some samples of a batch are shown tokens that others are not: without one it can be a flash kernel."""

import pytest
import torch

from omnihuman import OmniHumanTransformer3DModel, transformer

SIZES = {"num_attention_heads": 2, "attention_head_dim": 24, "text_dim": 8, "ffn_dim": 32, "num_layers": 2}
NEW = {"audio_dim": 8, "audio_layers": 2, "audio_window": 0, "pose_keypoints": 2, "pose_channels": 4}
SAMPLES = 2


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = OmniHumanTransformer3DModel(**SIZES, **NEW)
    torch.nn.init.normal_(made.token_types)
    return made


@pytest.fixture
def masks(model, monkeypatch):
    """The mask of each self-attention that ran."""
    seen = []
    for block in model.blocks:
        run = block.attn1.forward
        monkeypatch.setattr(
            block.attn1,
            "forward",
            lambda x, text, mask, rotary, run=run: seen.append(mask) or run(x, text, mask, rotary),
        )
    return seen


def given(**masks):
    generator = torch.Generator().manual_seed(1)
    inputs = {
        "hidden_states": (16, 3, 4, 4),
        "encoder_hidden_states": (5, 8),
        "reference": (16, 1, 4, 4),
        "motion": (16, 2, 4, 4),
    }
    made = {name: torch.randn((SAMPLES, *shape), generator=generator) for name, shape in inputs.items()}
    return (
        made
        | {"timestep": torch.tensor([100.0, 900.0])}
        | {f"{name}_mask": torch.tensor(mask) for name, mask in masks.items()}
    )


@torch.no_grad()
def test_where_everybody_is_shown_everything_there_is_no_mask_and_the_output_is_the_masked_ones_bit_for_bit(
    model, masks, monkeypatch
):
    ones = given(reference=[1.0, 1.0], motion=[1.0, 1.0])
    made = model(**ones).sample
    assert masks == [None, None]
    everything = lambda pieces, _: torch.ones((SAMPLES, sum(p.shape[1] for p in pieces)), dtype=torch.bool)  # noqa: E731
    monkeypatch.setattr(transformer, "shown_tokens", everything)
    assert torch.equal(made, model(**ones).sample)
    assert masks[2] is not None


@torch.no_grad()
def test_what_nobody_is_shown_is_no_part_of_the_sequence(model, masks):
    both = given(motion=[0.0, 0.0])
    without = {name: value for name, value in both.items() if not name.startswith("motion")}
    assert torch.equal(model(**both).sample, model(**without).sample)
    assert masks == [None] * 4


@torch.no_grad()
def test_a_batch_of_both_kinds_gets_a_mask_of_the_condition_that_differs(model, masks):
    model(**given(reference=[1.0, 0.0], motion=[1.0, 1.0]))
    shown = masks[0][:, 0, 0]
    assert shown[0].all() and shown[1].tolist() == [True] * (12 + 8) + [False] * 4, "video, motion, reference"


def test_weights_of_what_nobody_is_shown_still_take_part_with_a_gradient_of_zero(model):
    model.zero_grad()
    model(**given(reference=[0.0, 0.0], motion=[0.0, 0.0])).sample.square().sum().backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if "audio" not in name and "pose" not in name)
    assert model.token_types.grad.abs().max() == 0
    alone = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    bare = {k: v for k, v in given().items() if k not in ("reference", "motion")}
    model(**bare).sample.square().sum().backward()
    assert all(torch.equal(alone[name], p.grad) for name, p in model.named_parameters() if p.grad is not None)
