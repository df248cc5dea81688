#!/usr/bin/env bash
# diffusers 0.42.1 (torch 2.13.0 CPU, Python 3.11): EMAModel(decay=0.9999) without warm-up warms up, for the first 90,000 steps.
#
# `use_ema_warmup` is documented as "Whether to use EMA warmup" and is False by default. Seen: False is another warm-up, min(decay, (1 + n) / (10 + n)), which reaches
# 0.9999 at step 89,991. After 10,000 steps the average is 1,000 steps old (a parameter that grows by one each step), where
# torch.optim.swa_utils.AveragedModel with get_ema_multi_avg_fn(0.9999) is 6,320 steps old, as the formula of a constant decay says. With use_ema_warmup=True it is
# 449 steps old: "warm-up" against "no warm-up" compares two warm-ups. min_decay=0.9999 is what makes the decay constant.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install torch==2.13.0 diffusers==0.42.1 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY'
import torch
from diffusers.training_utils import EMAModel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

DECAY, STEPS = 0.9999, 10_000
model = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
torch.nn.init.zeros_(model.weight)
averages = {
    "diffusers": EMAModel(model.parameters(), decay=DECAY),
    "diffusers, use_ema_warmup": EMAModel(model.parameters(), decay=DECAY, use_ema_warmup=True),
    "diffusers, min_decay": EMAModel(model.parameters(), decay=DECAY, min_decay=DECAY),
    "torch": AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY)),
}
for step in range(1, STEPS + 1):
    with torch.no_grad():
        model.weight.fill_(step)
    for name, average in averages.items():
        average.update_parameters(model) if name == "torch" else average.step(model.parameters())

ages = {name: STEPS - float((a.module.weight if name == "torch" else a.shadow_params[0])) for name, a in averages.items()}
for name, age in ages.items():
    print(f"{name:26} average is {age:.0f} steps old")
constant = DECAY / (1 - DECAY) * (1 - DECAY ** (STEPS - 1))  # all begin with a copy at the first step
plain = averages["diffusers"]
reached = next(step for step in range(1, 200_000) if plain.get_decay(step) >= DECAY)
print(f"a constant decay: {constant:.0f} steps; diffusers reaches {DECAY} at step {reached}, and has {plain.cur_decay_value:.4f} now")
expected = {"diffusers": STEPS / 10, "diffusers, use_ema_warmup": 449, "diffusers, min_decay": constant, "torch": constant}
assert reached == 89_991 and all(abs(ages[name] - age) < 1 for name, age in expected.items()), "changed"
PY
