#!/usr/bin/env bash
# diffusers 0.42.1 (peft 0.21.2, torch 2.13.0 CPU, Python 3.11): whether a Wan LoRA of self-attention alone loads depends on whose keys it has.
#
# Seen: one LoRA of a block's four self-attention matrices, the same tensors and alphas under three sets of keys. With diffusers' own keys and
# with Wan's original ones (`diffusion_model.blocks.0.self_attn.q.lora_down.weight`) `load_lora_weights` of WanPipeline adapts those four. With
# kohya's, as musubi-tuner writes them (`lora_unet_blocks_0_self_attn_q.lora_down.weight`), it raises KeyError of 'blocks_0_cross_attn_q.lora_down.weight':
# every block is asked for cross-attention and feed-forward too. A trainer that was told to leave those out writes such a file.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY' 2>/dev/null
import torch
from diffusers import WanPipeline, WanTransformer3DModel

RANK, WIDTH = 4, 24
NAMES = {"q": "to_q", "k": "to_k", "v": "to_v", "o": "to_out.0"}
torch.manual_seed(0)
down = {name: torch.randn(RANK, WIDTH) for name in NAMES}
up = {name: torch.randn(WIDTH, RANK) for name in NAMES}


def keys_of(dialect: str) -> dict:
    lora = {}
    for name, theirs in NAMES.items():
        if dialect == "diffusers":
            lora[f"transformer.blocks.0.attn1.{theirs}.lora_A.weight"] = down[name].clone()
            lora[f"transformer.blocks.0.attn1.{theirs}.lora_B.weight"] = up[name].clone()
            continue
        stem = f"diffusion_model.blocks.0.self_attn.{name}" if dialect == "original" else f"lora_unet_blocks_0_self_attn_{name}"
        lora[f"{stem}.lora_down.weight"] = down[name].clone()
        lora[f"{stem}.lora_up.weight"] = up[name].clone()
        lora[f"{stem}.alpha"] = torch.tensor(float(RANK))
    return lora


def loaded(dialect: str) -> str:
    model = WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=8, freq_dim=16, ffn_dim=32, num_layers=1
    )
    pipeline = WanPipeline(tokenizer=None, text_encoder=None, vae=None, scheduler=None, transformer=model)
    try:
        pipeline.load_lora_weights(keys_of(dialect))
    except KeyError as error:
        return f"KeyError {error}"
    return f"{sum(hasattr(module, 'lora_A') for module in model.modules())} matrices adapted"


found = {dialect: loaded(dialect) for dialect in ("diffusers", "original", "kohya")}
for dialect, what in found.items():
    print(f"{dialect} keys: {what}")
assert found["diffusers"] == found["original"] == "4 matrices adapted", found
assert found["kohya"] == "KeyError 'blocks_0_cross_attn_q.lora_down.weight'", found
PY
