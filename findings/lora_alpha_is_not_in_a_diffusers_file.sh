#!/usr/bin/env bash
# diffusers 0.42.1 (peft 0.21.2, torch 2.13.0 CPU, Python 3.11): a LoRA that is saved as its tensors is loaded as if alpha were its rank.
#
# Seen: a LoRA of rank 4 and alpha 16 (scale alpha / rank = 4) is put into a Wan transformer, read out by peft's get_peft_model_state_dict, and written by
# WanPipeline.save_lora_weights. Loaded again, its update is 0.25 of what was trained; with alpha 2 it is 2 times that; with use_rslora and alpha 8 (scale
# 8 / sqrt(4) = 4) it is 0.25 again. The keys hold no alpha, the loader takes the rank for it, and nothing warns. With the optional
# transformer_lora_adapter_metadata=LoraConfig.to_dict(), which goes into the header of the file, all come back whole in diffusers; a tool that reads tensors
# alone still takes scale 1. Whoever trains with alpha = rank never sees it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install torch==2.13.0 diffusers==0.42.1 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work" <<'PY'
import sys

import torch
from diffusers import WanPipeline, WanTransformer3DModel
from peft import LoraConfig, get_peft_model_state_dict

RANK = 4


def small() -> WanTransformer3DModel:
    torch.manual_seed(0)
    return WanTransformer3DModel(num_attention_heads=2, attention_head_dim=12, text_dim=8, freq_dim=16, ffn_dim=32, num_layers=1)


def update(model: WanTransformer3DModel) -> torch.Tensor:
    layer = model.blocks[0].attn1.to_q
    return layer.get_delta_weight(layer.active_adapters[0]).detach()


def loaded(scale: float, with_metadata: bool, **how: object) -> float:
    """Share of the trained update that a fresh model has after saving and loading."""
    trained, fresh, config = small(), small(), LoraConfig(r=RANK, target_modules=["to_q"], **how)
    trained.add_adapter(config)
    down, up = (getattr(trained.blocks[0].attn1.to_q, name)["default"].weight for name in ("lora_A", "lora_B"))
    torch.nn.init.normal_(up)
    assert torch.allclose(update(trained), scale * up.detach() @ down.detach())  # what was trained, by the formula
    metadata = {"transformer_lora_adapter_metadata": config.to_dict()} if with_metadata else {}
    WanPipeline.save_lora_weights(sys.argv[1], transformer_lora_layers=get_peft_model_state_dict(trained), **metadata)
    pipeline = WanPipeline(tokenizer=None, text_encoder=None, vae=None, scheduler=None, transformer=fresh)
    pipeline.load_lora_weights(sys.argv[1], weight_name="pytorch_lora_weights.safetensors")
    return round(float((update(fresh) * update(trained)).sum() / (update(trained) ** 2).sum()), 3)


for how, scale in [({"lora_alpha": 16}, 4), ({"lora_alpha": 2}, 0.5), ({"lora_alpha": 8, "use_rslora": True}, 4), ({"lora_alpha": 4}, 1)]:
    seen = loaded(scale, False, **how), loaded(scale, True, **how)
    print(f"{how}: trained scale {scale}, loaded {seen[0]} of it, with metadata {seen[1]}")
    assert seen == (round(1 / scale, 3), 1.0), "changed"
PY
