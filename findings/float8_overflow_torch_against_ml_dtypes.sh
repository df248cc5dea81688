#!/usr/bin/env bash
# torch 2.13.0 (CPU), ml_dtypes 0.6.0, safetensors 0.8.0, Python 3.11: what does not fit float8_e4m3fn is 448 in one and NaN in the other.
#
# Seen: 464 is 448 in both, as it rounds there. From 465 on torch gives 448, for infinity too; ml_dtypes (NumPy, JAX, ONNX's tools) gives NaN. In
# float8_e5m2 both give infinity. A tensor that is quantised without a scale shows its overflow in one library and hides it in the other. And
# safetensors writes float8 from torch, but its NumPy reader knows bfloat16 of ml_dtypes and not float8: AttributeError about numpy.float8_e4m3fn.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install torch==2.13.0 ml_dtypes==0.6.0 safetensors==0.8.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work" <<'PY'
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import safetensors.numpy
import safetensors.torch
import torch

values = np.array([448, 464, 465, 500, 1e4, np.inf, -500], np.float32)
by_torch = torch.from_numpy(values).to(torch.float8_e4m3fn).float().numpy()
by_numpy = values.astype(ml_dtypes.float8_e4m3fn).astype(np.float32)
print("given    ", values.tolist())
print("torch    ", by_torch.tolist())
print("ml_dtypes", by_numpy.tolist())
assert by_torch.tolist() == [448.0] * 6 + [-448.0]
assert by_numpy[:2].tolist() == [448.0, 448.0] and np.isnan(by_numpy[2:]).all()

wide = np.array([57344, 65504], np.float32)
assert torch.from_numpy(wide).to(torch.float8_e5m2).float().tolist() == [57344.0, float("inf")]
assert wide.astype(ml_dtypes.float8_e5m2).astype(np.float32).tolist() == [57344.0, float("inf")]
print("float8_e5m2: 65504 is infinity in both")

for dtype in (torch.bfloat16, torch.float8_e4m3fn):
    path = Path(sys.argv[1]) / "weights.safetensors"
    safetensors.torch.save_file({"weight": torch.ones(2, 2).to(dtype)}, path)
    try:
        seen = str(safetensors.numpy.load_file(path)["weight"].dtype)
    except AttributeError as error:
        seen = f"AttributeError: {error}"
    print(f"{dtype} read by safetensors.numpy: {seen}")
    assert seen == ("bfloat16" if dtype == torch.bfloat16 else "AttributeError: module 'numpy' has no attribute 'float8_e4m3fn'")
PY
