"""The average takes the weights' place without a second model, and gives it back bit for bit."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from training.engine.ema import ExponentialMovingAverage

PLAIN = SimpleNamespace(zero_optimization_stage=lambda: 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_inside_the_weights_are_the_average_and_afterwards_both_are_as_before(dtype):
    torch.manual_seed(0)
    model = nn.Linear(3, 2).to(dtype)
    average = ExponentialMovingAverage(model, 0.5)
    with torch.no_grad():
        model.weight.normal_()
    average.update()
    weights = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    kept = {name: value.clone() for name, value in average.average.items()}
    with pytest.raises(RuntimeError, match="probe"), average.in_place(PLAIN):
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter, kept[name].to(dtype))
        assert not torch.equal(model.weight, weights["weight"])
        raise RuntimeError("the probe failed")
    assert all(torch.equal(parameter, weights[name]) for name, parameter in model.named_parameters())
    assert all(torch.equal(value, kept[name]) for name, value in average.average.items())


@pytest.mark.parametrize("rank", [0, 1])
def test_parts_of_the_average_go_to_rank_0_and_no_other_rank_receives_any(monkeypatch, rank):
    """Under ZeRO-3; tests/training/test_resume_ranks.py does it with ranks."""
    model = nn.Linear(3, 2, bias=False)
    slices = torch.arange(6.0).view(2, 3)
    model.weight.ds_tensor, model.weight.ds_numel, model.weight.ds_shape = slices[rank], 6, (2, 3)  # type: ignore[attr-defined]
    average, asked = ExponentialMovingAverage(model, 0.5), []

    def gather(own, received, dst):
        asked.append((own.tolist(), dst))
        for part, value in zip(received or (), slices, strict=bool(received)):
            part.copy_(value)

    for name, answer in (("is_initialized", True), ("get_rank", rank), ("get_world_size", 2)):
        monkeypatch.setattr(torch.distributed, name, lambda answer=answer: answer)
    monkeypatch.setattr(torch.distributed, "gather", gather)
    made = []
    monkeypatch.setattr(
        torch, "empty_like", lambda like, empty=torch.empty_like: made.append(like.shape) or empty(like)
    )
    whole = average.whole()
    assert asked == [(slices[rank].tolist(), 0)] and len(made) == (2 if rank == 0 else 0)
    assert whole == {} if rank else torch.equal(whole["weight"], torch.arange(6.0).view(2, 3))
