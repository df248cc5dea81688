"""Tiny random text encoders of each base, saved by transformers in the layout of its published folder."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    ByT5Tokenizer,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    LlamaConfig,
    LlamaModel,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    T5Config,
    T5EncoderModel,
)

from omnihuman.conditions.text import load_tokenizer, tokenizer_of
from profiles import load_profile, resolve_source

WIDTH, POOLED, LETTERS = 24, 16, 12
TURNS = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 2, 2]}  # half a head's numbers
# Qwen's own, without what a conversation would have more.
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] + '\n' + m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _words(length: int) -> Any:
    """MiniLM's tokenizer, the one that is packaged: which words have which number is nothing that encoding depends on."""
    tokenizer = load_tokenizer(tokenizer_of(resolve_source(load_profile("laptop").encoders.text)))
    tokenizer.model_max_length, tokenizer.chat_template = length, CHAT
    return tokenizer


def _clip(kind: Any, words: int, projected: int) -> Any:
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    # As the published CLIPs: the state of the token with the highest number is the prompt's.
    return kind(CLIPTextConfig(**sizes, vocab_size=words, projection_dim=projected, eos_token_id=2))


def _t5(width: int, words: int) -> Any:
    return T5EncoderModel(T5Config(d_model=width, d_ff=16, d_kv=6, num_heads=2, num_layers=1, vocab_size=words))


def _language(config: Any, kind: Any, words: int, **more: Any) -> Any:
    sizes = {
        "hidden_size": WIDTH,
        "intermediate_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }
    numbers = {"vocab_size": words, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return kind(config(**sizes, **numbers, **more))  # fmt: skip


def save(architecture: str, folder: Path) -> list[str]:
    """Write a base's text_encoder, tokenizer, text_encoder_2 ...; returns the encoders' folders in their order."""
    torch.manual_seed(0)
    words = _words(77)
    count = len(words)
    parts = {
        "hunyuan_video": lambda: [
            (_language(LlamaConfig, LlamaModel, count), words), (_clip(CLIPTextModel, count, POOLED), words),
        ],
        "hunyuan_video15": lambda: [
            (_language(Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, count, rope_parameters=TURNS), words), (_t5(LETTERS, 384), ByT5Tokenizer()),
        ],
        "stable_diffusion3": lambda: [
            (_clip(CLIPTextModelWithProjection, count, 6), words), (_clip(CLIPTextModelWithProjection, count, 10), words),
            (_t5(WIDTH, count), words),
        ],
    }[architecture]()  # fmt: skip
    places = []
    for number, (model, tokenizer) in enumerate(parts, start=1):
        end = "" if number == 1 else f"_{number}"
        model.save_pretrained(folder / f"text_encoder{end}")
        tokenizer.save_pretrained(folder / f"tokenizer{end}")
        places.append(str(folder / f"text_encoder{end}"))
    return places
