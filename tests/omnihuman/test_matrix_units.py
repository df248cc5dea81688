"""Convolutions in bfloat16 on whatever processor there is: those that Intel's matrix units get wrong come out right (docs/decisions/0078-no-matrix-units-of-intels.md)."""

import os

import pytest
import torch
from torch.nn import functional

import omnihuman  # before the first primitive

SHAPES = [((2, 16, 16, 16), (8, 16, 4, 4), 4, 0), ((2, 3, 1, 16, 16), (8, 3, 3, 3, 3), 1, 1)]
NAMES = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


@pytest.mark.parametrize(("given", "kernel", "stride", "padding"), SHAPES)
def test_a_convolution_in_bfloat16_is_float32s_rounded(given, kernel, stride, padding):
    torch.manual_seed(0)
    x, weight = torch.randn(given), torch.randn(kernel)
    convolve = functional.conv2d if len(given) == 4 else functional.conv3d
    exact = convolve(x, weight, None, stride, padding)
    rounded = convolve(x.bfloat16(), weight.bfloat16(), None, stride, padding).float()
    assert (rounded - exact).abs().max() < 0.02 * exact.abs().max()


@pytest.mark.parametrize(
    ("flags", "said", "kept"),
    [
        ("avx512_bf16 amx_bf16 amx_tile avx512_fp16", {}, ("AVX512_CORE_FP16", None)),
        ("avx512_bf16 amx_bf16", {"ONEDNN_MAX_CPU_ISA": "AVX2"}, ("AVX2", None)),
        ("avx512_bf16 amx_bf16", {"DNNL_MAX_CPU_ISA": "AVX2"}, (None, "AVX2")),
        ("avx512_bf16 amx_bf16", {"ONEDNN_MAX_CPU_ISA": ""}, ("AVX512_CORE_FP16", None)),
        ("avx512_bf16", {}, (None, None)),
    ],
)
def test_only_where_there_are_such_and_the_user_says_nothing(flags, said, kept, tmp_path, monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n\nprocessor\t: 1\n")
    omnihuman._leave_matrix_units(tmp_path / "cpuinfo")
    now = tuple(os.environ.get(name) for name in NAMES)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)  # what was set here is nobody else's
    assert now == kept
    omnihuman._leave_matrix_units(tmp_path / "none")
