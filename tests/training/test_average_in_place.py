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
