#!/usr/bin/env bash
# diffusers 0.42.1 (torch 2.13.0 CPU, Python 3.11): one flow shift and 20 steps give three grids, by scheduler and by how the shift was set.
#
# Seen: the last noise level before 0 at shift 5 (t -> 5 t / (1 + 4 t) of an even grid 1, 0.95 ... 0.05 gives 0.208, Wan's own):
# UniPCMultistepScheduler(flow_shift=5) 0.212; FlowMatchEulerDiscreteScheduler(shift=5) 0.024; the same scheduler made with shift 1 and then
# set_shift(5) 0.005. Euler's grid runs to sigma_min = 1/1000, and its constructor shifts that end before set_timesteps shifts the grid, so the end is
# shifted twice. With set_timesteps(sigmas=...) of the even grid, Euler gives 0.208 as well. Of the last step from 0.21 to 0 nothing is left in the others:
# 19 steps do what 20 do in UniPC. Swapping solvers "with the same shift" is swapping grids.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY' 2>/dev/null
import numpy as np
from diffusers import FlowMatchEulerDiscreteScheduler as Euler
from diffusers import UniPCMultistepScheduler as UniPC

STEPS, SHIFT = 20, 5.0
even = np.linspace(1, 0, STEPS + 1)[:-1]
wan = SHIFT * even / (1 + (SHIFT - 1) * even)

unipc = UniPC(prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=SHIFT)
made, later, given = Euler(shift=SHIFT), Euler(shift=1.0), Euler(shift=SHIFT)
later.set_shift(SHIFT)
for scheduler in (unipc, made, later):
    scheduler.set_timesteps(STEPS)
given.set_timesteps(sigmas=even)

grids = {
    "by the formula": wan,
    "UniPC, flow_shift": unipc.sigmas[:-1].numpy(),
    "Euler, shift": made.sigmas[:-1].numpy(),
    "Euler, set_shift": later.sigmas[:-1].numpy(),
    "Euler, sigmas given": given.sigmas[:-1].numpy(),
}
for name, grid in grids.items():
    print(f"{name:20} {len(grid)} levels; 2nd {grid[1]:.4f}, middle {grid[10]:.4f}, last two {grid[-2]:.4f} {grid[-1]:.4f}")
last = {name: round(float(grid[-1]), 3) for name, grid in grids.items()}
assert last == {
    "by the formula": 0.208,
    "UniPC, flow_shift": 0.212,
    "Euler, shift": 0.024,
    "Euler, set_shift": 0.005,
    "Euler, sigmas given": 0.208,
}, last
PY
