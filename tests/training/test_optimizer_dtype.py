"""Muon orthogonalises in float32, with fewer products, on processors that gain nothing by bfloat16."""

import pytest
import torch
from deepspeed.runtime.zero.muon import muon_optimizer, original_muon

from training.engine import optimizer
from training.engine.orthogonalisation import deepspeeds_update, muon_update, orthogonalise

SHAPES = ((192, 192), (192, 768), (768, 192), (64, 96), (96, 64))


@pytest.fixture
def deepspeeds(monkeypatch):
    """DeepSpeed's Muon as it comes, and again afterwards."""
    own = lambda ns_method="gram": torch.bfloat16  # noqa: E731 - what DeepSpeed answers on every CPU
    monkeypatch.setattr(original_muon, "ns_compute_dtype", own)
    monkeypatch.setattr(original_muon, "muon_update", deepspeeds_update)
    monkeypatch.setattr(muon_optimizer, "muon_update", deepspeeds_update)
    return monkeypatch


def gradient(*shape: int, condition: float = 3.0) -> torch.Tensor:
    """Random, with columns between 1 and `10 ** -condition`."""
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator) * torch.logspace(0, -condition, shape[1])


@pytest.mark.parametrize(("native", "expected"), [(False, torch.float32), (True, torch.bfloat16)])
def test_the_iteration_runs_in_what_the_processor_gains_by(deepspeeds, native, expected):
    deepspeeds.setattr(optimizer, "computes_in_bfloat16", lambda: native)
    optimizer.orthogonalise_natively()
    assert original_muon.ns_compute_dtype("standard") == expected
    whole = original_muon.zeropower_via_newtonschulz5(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)), 5)
    assert whole.dtype == expected
    used = (original_muon.muon_update, muon_optimizer.muon_update)
    assert used == (2 * (deepspeeds_update,) if native else 2 * (muon_update,))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_update_is_deepspeeds_but_for_the_order_of_sums(deepspeeds, shape):
    """As far from what float64 makes of it as DeepSpeed's own, and the same momentum."""
    deepspeeds.setattr(original_muon, "ns_compute_dtype", lambda ns_method="gram": torch.float32)
    exact = muon_update_in_float64(gradient(*shape))
    momenta = torch.zeros(shape), torch.zeros(shape)
    ours = muon_update(gradient(*shape), momenta[0], ns_method="standard")
    theirs = deepspeeds_update(gradient(*shape), momenta[1], ns_method="standard")
    assert torch.equal(*momenta) and momenta[0].any()
    off = [float((update.double() - exact).norm() / exact.norm()) for update in (ours, theirs)]
    assert off[0] < 1e-4 and off[0] < 3 * off[1] + 1e-6, off
    assert ours.is_contiguous(), "ZeRO cuts it into flat parts"


def muon_update_in_float64(grad: torch.Tensor) -> torch.Tensor:
    """The first update from momentum 0: Nesterov's mean, then the post's iteration, written out."""
    x = grad.double() * (0.05 * 0.95 + 0.05)
    high = x.size(0) > x.size(1)
    x = x.mT if high else x
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if high else x) * max(1.0, grad.size(0) / grad.size(1)) ** 0.5


def test_singular_values_come_near_one():
    for shape in SHAPES:
        values = torch.linalg.svdvals(orthogonalise(gradient(*shape, condition=0.5)))
        near = (values > 0.6) & (values < 1.25)  # all but the smallest of a square matrix, which come near 0
        assert near.float().mean() > 0.97, (shape, values)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_leaves_the_momentum_alone_and_is_seen(bad):
    grad, momentum = gradient(8, 16), torch.ones(8, 16)
    grad[3, 4] = bad
    update = muon_update(grad, momentum, ns_method="standard")
    assert torch.equal(momentum, torch.ones(8, 16)) and not torch.isfinite(update[3, 4])


def test_what_this_does_not_know_deepspeed_computes():
    experts = torch.randn(2, 8, 16, generator=torch.Generator().manual_seed(0))
    arguments = {"ns_method": "standard", "is_expert_group": True}
    ours, theirs = (
        update(experts.clone(), torch.zeros_like(experts), **arguments) for update in (muon_update, deepspeeds_update)
    )
    assert torch.equal(ours, theirs) and ours.shape == experts.shape
