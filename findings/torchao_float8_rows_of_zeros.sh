#!/usr/bin/env bash
# torchao: a row of zeros in a matrix becomes NaN under Float8WeightOnlyConfig, and so does every answer of the layer.
#
# torchao 0.18.0, torch 2.13.0 (CPU), Python 3.11.
# A linear layer of three rows, the second of them zeros, as layers have that begin at zero (zero convolutions, the output of a new attention,
# LoRA's up matrices) or units that died. Its weights are quantised, and it is asked for one answer.
# Expected by most: 0 in that row, as Int8WeightOnlyConfig gives. Seen: the row's scale is 0, its numbers are 0 / 0, and the answer is NaN; no
# error and no warning. The least scale that int8 has is not set for fp8, and the configuration has no field for it.
#
#   float8: scale of the row 0.0, answer nan
#   int8: scale of the row above 0: True, answer 0.0
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --no-compile torchao==0.18.0 torch==2.13.0 numpy
cat > "$place/seen.py" <<'PY'
import torch
from torchao.quantization import Float8WeightOnlyConfig, Int8WeightOnlyConfig, quantize_


def quantised(config):
    torch.manual_seed(0)
    layer = torch.nn.Linear(16, 3, bias=False).requires_grad_(False)
    layer.weight[1] = 0
    quantize_(layer, config)
    return float(layer.weight.scale[1, 0]), float(layer(torch.ones(1, 16))[0, 1])


scale, answer = quantised(Float8WeightOnlyConfig())
print(f"float8: scale of the row {scale}, answer {answer}")
scale, answer = quantised(Int8WeightOnlyConfig())
print(f"int8: scale of the row above 0: {scale > 0}, answer {answer}")
PY
seen=$("$place/venv/bin/python" -W ignore "$place/seen.py" 2>/dev/null)
echo "$seen"
[ "$seen" = "float8: scale of the row 0.0, answer nan
int8: scale of the row above 0: True, answer 0.0" ] || { echo "this is no longer what the head says" >&2; exit 1; }
