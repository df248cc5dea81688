"""Muon orthogonalises in float32 on processors that would imitate bfloat16."""

import pytest
import torch
from deepspeed.runtime.zero.muon import original_muon

from training.engine import optimizer


@pytest.mark.parametrize(("native", "expected"), [(False, torch.float32), (True, torch.bfloat16)])
def test_the_iteration_runs_in_what_the_processor_computes_in(monkeypatch, native, expected):
    own = lambda ns_method="gram": torch.bfloat16  # noqa: E731 - what DeepSpeed answers on every CPU
    monkeypatch.setattr(original_muon, "ns_compute_dtype", own)
    monkeypatch.setattr(optimizer, "computes_in_bfloat16", lambda: native)
    optimizer.orthogonalise_natively()
    assert original_muon.ns_compute_dtype("standard") == expected
    whole = original_muon.zeropower_via_newtonschulz5(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)), 5)
    assert whole.dtype == expected
