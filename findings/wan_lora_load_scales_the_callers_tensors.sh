#!/usr/bin/env bash
# diffusers 0.42.1 (peft 0.21.2, torch 2.13.0 CPU, Python 3.11): a Wan LoRA given as a dict is scaled in place where it has alphas.
#
# Seen: a LoRA of rank 4 with alpha 1 in Wan's original keys (`diffusion_model.blocks.0...lora_down/lora_up/alpha`) is loaded from one dict into two
# pipelines, one after the other, and fused. Both fuse 0.25 of up @ down into self-attention, as alpha / rank says. Into cross-attention and the
# feed-forward the first fuses 0.25 and the second 0.0625: the first load multiplied the caller's own tensors. A dict that was read once and is loaded
# into teacher and student, or again after an unload, is another LoRA the second time; a file that is read anew is not.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY' 2>/dev/null
import torch
from diffusers import WanPipeline, WanTransformer3DModel

RANK, ALPHA, WIDTH = 4, 1.0, 24
MODULES = {
    "self_attn.q": ("blocks.0.attn1.to_q", WIDTH),
    "cross_attn.k": ("blocks.0.attn2.to_k", WIDTH),
    "ffn.0": ("blocks.0.ffn.net.0.proj", 32),
}
torch.manual_seed(0)
down = {name: torch.randn(RANK, WIDTH) for name in MODULES}
up = {name: torch.randn(rows, RANK) for name, (_, rows) in MODULES.items()}
whole = {name: up[name] @ down[name] for name in MODULES}
lora = {}
for name in MODULES:
    lora[f"diffusion_model.blocks.0.{name}.lora_down.weight"] = down[name]
    lora[f"diffusion_model.blocks.0.{name}.lora_up.weight"] = up[name]
    lora[f"diffusion_model.blocks.0.{name}.alpha"] = torch.tensor(ALPHA)


def fused() -> list[float]:
    """Shares of up @ down that a fresh small Wan has in its weights after loading and fusing the dict."""
    model = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=8, freq_dim=16, ffn_dim=32, num_layers=1
    )
    before = {name: model.get_submodule(path).weight.detach().clone() for name, (path, _) in MODULES.items()}
    pipeline = WanPipeline(tokenizer=None, text_encoder=None, vae=None, scheduler=None, transformer=model)
    pipeline.load_lora_weights(lora)
    pipeline.fuse_lora()
    pipeline.unload_lora_weights()
    shares = []
    for name, (path, _) in MODULES.items():
        change = model.get_submodule(path).weight.detach() - before[name]
        shares.append(round(float((change * whole[name]).sum() / (whole[name] ** 2).sum()), 4))
    return shares


first, second = fused(), fused()
print("modules:", list(MODULES))
print("first load:", first)
print("second load of the same dict:", second)
assert first == [0.25, 0.25, 0.25], first
assert second == [0.25, 0.0625, 0.0625], second
PY
