"""In bf16 no forward pass keeps a rounded copy of every weight until it ends."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from training.engine.deepspeed_engine import _keep_no_rounded_weights, computing
from training.plan.trace import trace, without_bytes

WIDTH, LAYERS = 256, 8
ROUNDED = 2 * WIDTH * WIDTH  # bytes of one weight's copy


def peak(forward, hooked: bool) -> float:
    """Bytes at most in a forward pass of equal layers; `forward(engine, x)` runs it."""
    with without_bytes():
        module = nn.Sequential(*(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(LAYERS)))
        engine = SimpleNamespace(
            module=module,
            device=torch.device("cpu"),
            torch_autocast_enabled=lambda: True,
            torch_autocast_dtype=lambda: torch.bfloat16,
        )
        if hooked:
            _keep_no_rounded_weights(engine)

        @torch.no_grad()
        def run() -> None:
            forward(engine, torch.empty(1, WIDTH))

        return trace(run, [module]).peak


def as_deepspeed(engine, x):
    with torch.autocast("cpu", torch.bfloat16):
        engine.module(x)
        assert torch.is_autocast_cache_enabled() is not bool(engine.module._forward_pre_hooks)


def by_hand(engine, x):
    with computing(engine):
        engine.module(x)


@pytest.mark.parametrize(("forward", "hooked"), [(as_deepspeed, True), (by_hand, False)])
def test_each_copy_is_gone_when_its_layer_is_done(forward, hooked):
    assert peak(forward, hooked) < 1.5 * ROUNDED
    assert torch.is_autocast_cache_enabled(), "for whatever else computes in this process"


def test_left_to_itself_autocast_keeps_all_of_them():
    """So the test above can fail."""
    assert peak(as_deepspeed, False) > LAYERS * ROUNDED
