"""Convolutions in bfloat16 on whatever processor there is: those that Intel's matrix units get wrong come out right (docs/decisions/0078-no-matrix-units-of-intels.md)."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional

import omnihuman  # noqa: F401  # before the first primitive

SHAPES = [((2, 16, 16, 16), (8, 16, 4, 4), 4, 0), ((2, 3, 1, 16, 16), (8, 3, 3, 3, 3), 1, 1)]


@pytest.mark.parametrize(("given", "kernel", "stride", "padding"), SHAPES)
def test_a_convolution_in_bfloat16_is_float32s_rounded(given, kernel, stride, padding):
    torch.manual_seed(0)
    x, weight = torch.randn(given), torch.randn(kernel)
    convolve = functional.conv2d if len(given) == 4 else functional.conv3d
    exact = convolve(x, weight, None, stride, padding)
    rounded = convolve(x.bfloat16(), weight.bfloat16(), None, stride, padding).float()
    assert (rounded - exact).abs().max() < 0.02 * exact.abs().max()


@pytest.mark.parametrize(("given", "kept"), [({}, "AVX512_CORE_BF16"), ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, "AVX2")])
def test_what_a_user_chose_stays(given, kept):
    said = subprocess.run(
        [sys.executable, "-c", "import omnihuman, os; print(os.environ['ONEDNN_MAX_CPU_ISA'])"],
        env={name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"} | given,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == kept
