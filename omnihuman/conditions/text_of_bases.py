"""Text encoders as each base's own pipeline in diffusers asks them: the same words around a prompt, hidden states and cuts, laid into one tensor of rows.

Rows are `(B, rows, D)` float32, D the width of the words' encoder; narrower rows are filled up with zeros. Which base's encoders they are is told by their kinds.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from omnihuman.conditions.prompts import clean_prompt
from omnihuman.errors import InputError
from omnihuman.placement import execution_device

Encoder = tuple[PreTrainedModel, PreTrainedTokenizerBase]
CLIP_TOKENS = 77
GLYPH_ROWS = 256  # what HunyuanVideo-1.5's pipeline pads letters that are to be drawn to


@torch.no_grad()
def encode_text(
    models: Sequence[PreTrainedModel],
    tokenizers: Sequence[PreTrainedTokenizerBase],
    prompts: Sequence[str],
    tokens: int,
) -> Tensor:
    """Rows of cleaned prompts.

    Args:
        models: a base's text encoders in the order of its published folder: text_encoder, text_encoder_2, text_encoder_3.
        tokenizers: one of each.
        prompts: B of them.
        tokens: that the words' encoder takes.

    Raises:
        InputError: encoders that are no base's, or one that is wider than the words'.
    """
    encoders = list(zip(models, tokenizers, strict=True))
    return _family([model.config.model_type for model in models])(
        encoders, [clean_prompt(prompt) for prompt in prompts], tokens
    )


def words_tokenizer(
    models: Sequence[PreTrainedModel], tokenizers: Sequence[PreTrainedTokenizerBase]
) -> PreTrainedTokenizerBase:
    """That of the encoder which takes the whole prompt."""
    return tokenizers[words_encoder([model.config.model_type for model in models])]


def words_encoder(kinds: Sequence[str]) -> int:
    """Which of a base's text encoders takes the whole prompt and says how wide rows are, by their kinds: of two CLIPs and T5 T5, else the first.

    Raises:
        InputError: encoders that are no base's.
    """
    return -1 if _family(kinds) is stable_diffusion3 else 0


def padded_states(encoders: Sequence[Encoder], prompts: list[str], tokens: int) -> Tensor:
    """`(B, tokens, D)` states of one encoder, past the text zeros, as in Wan's pipeline."""
    model, tokenizer = encoders[0]
    ids, mask = _tokens(model, tokenizer, prompts, tokens)
    return model(input_ids=ids, attention_mask=mask).last_hidden_state.float() * mask[..., None]


def hunyuan_video(encoders: Sequence[Encoder], prompts: list[str], tokens: int) -> Tensor:
    """`(B, [1 +] tokens, D)`: where there is CLIP, its vector of the whole prompt; then LLaMA's states of the third last layer, asked in the pipeline's
    words, of which the states are cut off again; past the text zeros."""
    from diffusers.pipelines.hunyuan_video.pipeline_hunyuan_video import DEFAULT_PROMPT_TEMPLATE

    asked: dict[str, Any] = DEFAULT_PROMPT_TEMPLATE
    template, words = asked["template"], asked["crop_start"]
    model, tokenizer = encoders[0]
    ids, mask = _tokens(model, tokenizer, [template.format(prompt) for prompt in prompts], words + tokens)
    states = model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states[-3]
    rows = (states.float() * mask[..., None])[:, words:]
    if len(encoders) == 1:
        return rows
    clip, clip_tokenizer = encoders[1]
    ids, _ = _tokens(clip, clip_tokenizer, prompts, CLIP_TOKENS)
    return torch.cat([_widened(clip(ids).pooler_output[:, None], rows), rows], dim=1)


def hunyuan_video15(encoders: Sequence[Encoder], prompts: list[str], tokens: int) -> Tensor:
    """`(B, tokens [+ 256], D)`: states of Qwen2.5-VL, past the text zeros; where there is ByT5, then its states of what stands in quotes, which are letters to
    draw, else zeros."""
    from diffusers import HunyuanVideo15Pipeline

    model, tokenizer = encoders[0]
    device = execution_device(model)
    states, mask = HunyuanVideo15Pipeline._get_mllm_prompt_embeds(
        model, tokenizer, prompts, device, tokenizer_max_length=tokens
    )
    rows = states.float() * mask[..., None]
    if len(encoders) == 1:
        return rows
    glyphs, glyph_tokenizer = encoders[1]
    states, mask = HunyuanVideo15Pipeline._get_byt5_prompt_embeds(
        glyph_tokenizer, glyphs, prompts, device, tokenizer_max_length=GLYPH_ROWS
    )
    return torch.cat([rows, _widened(states * mask[..., None], rows)], dim=1)


def stable_diffusion3(encoders: Sequence[Encoder], prompts: list[str], tokens: int) -> Tensor:
    """`(B, 1 + 77 + tokens, D)`: both CLIPs' vectors of the whole prompt, side by side; their states of the last layer but one, side by side; T5's states.
    Padding is encoded too, as this base was trained."""
    pooled, states = [], []
    for model, tokenizer in encoders[:2]:
        ids, _ = _tokens(model, tokenizer, prompts, CLIP_TOKENS)
        answer = model(ids, output_hidden_states=True)
        pooled.append(answer.text_embeds[:, None])
        states.append(answer.hidden_states[-2])
    model, tokenizer = encoders[2]
    ids, _ = _tokens(model, tokenizer, prompts, tokens)
    rows = model(ids).last_hidden_state.float()
    return torch.cat([*(_widened(torch.cat(side, dim=-1), rows) for side in (pooled, states)), rows], dim=1)


# By the kinds of the encoders, as their config.json calls them; any other one alone is asked as Wan's.
_FAMILIES: dict[tuple[str, ...], Callable[[Sequence[Encoder], list[str], int], Tensor]] = {
    ("llama",): hunyuan_video,
    ("llama", "clip_text_model"): hunyuan_video,
    ("qwen2_5_vl_text",): hunyuan_video15,
    ("qwen2_5_vl_text", "t5"): hunyuan_video15,
    ("clip_text_model", "clip_text_model", "t5"): stable_diffusion3,
}


def _family(kinds: Sequence[str]) -> Callable[[Sequence[Encoder], list[str], int], Tensor]:
    kinds = tuple(kinds)
    if len(kinds) == 1:
        return _FAMILIES.get(kinds, padded_states)
    if kinds not in _FAMILIES:
        known = "; ".join(" + ".join(family) for family in _FAMILIES if len(family) > 1)
        raise InputError(
            f"text encoders of the kinds {' + '.join(kinds)} are no base's; there are {known}, in the order of encoders.text, text_2, text_3"
        )
    return _FAMILIES[kinds]


def _tokens(model: Any, tokenizer: Any, texts: list[str], length: int) -> tuple[Tensor, Tensor]:
    """`(B, length)` numbers of tokens and their mask, where the model computes."""
    batch = tokenizer(
        texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt", return_attention_mask=True
    )
    device = execution_device(model)
    return batch["input_ids"].to(device), batch["attention_mask"].to(device)


def _widened(states: Tensor, rows: Tensor) -> Tensor:
    """`(B, n, d)` with zeros up to the width of `rows`, beside which they are."""
    missing = rows.shape[-1] - states.shape[-1]
    if missing < 0:
        raise InputError(
            f"a text encoder gives {states.shape[-1]} numbers, and rows of text have the {rows.shape[-1]} of the words' encoder: they belong to different models"
        )
    return F.pad(states.to(rows), (0, missing))
