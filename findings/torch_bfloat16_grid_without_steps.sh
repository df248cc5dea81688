#!/usr/bin/env bash
# A time grid in bfloat16: six of 32 shifted steps have no width, and the first step from pure noise is one of them.
#
# torch 2.13.0 (CPU), Python 3.11. The grid of a few-step distillation, linspace(0, 1, 33) shifted by 24 t / (1 + 23 t), is cast to
# bfloat16 as `tensor.to(model.dtype)` does with everything of a batch. bfloat16 has 8 bits of significand: below 1 it knows multiples
# of 1/256, and of a timestep in [512, 1000] multiples of 4. Steps change by 44 % on average, and 22, 24, 27, 28, 30 and 32 vanish: a
# consistency loss there is exactly 0 and trains nothing. diffusers and torch cast without a word.
#
#   steps of no width: [22, 24, 27, 28, 30, 32]; mean change of a width: 44%; last timesteps [992.0, 996.0, 996.0, 1000.0, 1000.0]
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --no-compile torch==2.13.0 numpy
"$place/venv/bin/python" - <<'PY' 2>/dev/null
import torch

grid = torch.linspace(0, 1, 33)
grid = 24 * grid / (1 + 23 * grid)
rounded = grid.to(torch.bfloat16)
exact, seen = grid.diff(), rounded.float().diff()
gone = [i + 1 for i in range(32) if seen[i] == 0]
change = float(((seen - exact).abs() / exact).mean())
last = (rounded * 1000)[-5:].float().tolist()
print(f"steps of no width: {gone}; mean change of a width: {change:.0%}; last timesteps {last}")
assert gone == [22, 24, 27, 28, 30, 32] and round(change, 2) == 0.44 and last == [992, 996, 996, 1000, 1000]
PY
