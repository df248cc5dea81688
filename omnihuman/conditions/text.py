"""Text: a frozen transformers encoder (UMT5 for Wan2.1, MiniLM on the laptop) and its padded token states."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    UMT5EncoderModel,
)

from media.weights import load_network
from omnihuman.conditions.prompts import clean_prompt
from omnihuman.deferred_imports import deferring
from omnihuman.errors import MissingWeights, reading_weights
from omnihuman.placement import execution_device

TEXT_REMEDY = "download the text encoder's folder again, or put the config.json there that belongs to the files"
# A table of numbers from 0 on that transformers once kept in files, and heads for tasks that nobody asks for here.
TEXT_BESIDE = (r"(.*\.)?embeddings\.position_ids$", r"cls\.", r"lm_head\.", r"decoder\.")


class TextEncoder:
    """Loads the encoder and its tokenizer from one folder or hub id, or the tokenizer from beside it, where diffusers has it."""

    @deferring()
    def __init__(self, path: str | Path, tokens: int, dtype: torch.dtype = torch.float32):
        """Raises MissingWeights naming the path when nothing is there that can be read."""
        with reading_weights(path):
            self.model = load_text_model(path, dtype)
            self.tokenizer = load_tokenizer(tokenizer_of(path))
        self.tokens = tokens

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """`(B, tokens, D)` float32; see `encode_text`."""
        return encode_text(self.model, self.tokenizer, prompts, self.tokens)


def load_tokenizer(path: str | Path) -> PreTrainedTokenizerBase:
    """Open a tokenizer by its folder or hub id; raises MissingWeights naming it when nothing is there that can be read."""
    try:
        with reading_weights(path):
            return AutoTokenizer.from_pretrained(str(path))
    except MissingWeights:
        raise
    except ValueError as error:  # what transformers says of a folder without one, in nine lines
        raise MissingWeights(
            f"no tokenizer could be read at {path}; put tokenizer.json there, or a folder `tokenizer` beside the text encoder's"
        ) from error


def tokenizer_of(path: str | Path) -> str | Path:
    """Where a text encoder's tokenizer is: in its folder, or beside it, where diffusers has it."""
    beside = Path(path).parent / "tokenizer"
    here = any((Path(path) / name).is_file() for name in ("tokenizer_config.json", "tokenizer.json"))
    return beside if beside.is_dir() and not here else path


def load_text_model(path: str | Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """UMT5 by its encoder half alone (Wan2.1's), any other architecture whole; frozen, safetensors only.

    Raises:
        WrongWeights: not this network's weights, whole.
    """
    kind = AutoConfig.from_pretrained(str(path)).model_type
    loader = UMT5EncoderModel if kind == "umt5" else AutoModel
    return load_network(loader, path, TEXT_REMEDY, may_have=TEXT_BESIDE, dtype=dtype).eval().requires_grad_(False)


@torch.no_grad()
def encode_text(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], tokens: int
) -> Tensor:
    """Token states `(B, tokens, D)` float32 of cleaned prompts. Positions past the text are zero, as in Wan's own pipeline."""
    batch = tokenizer(
        [clean_prompt(prompt) for prompt in prompts],
        padding="max_length",
        truncation=True,
        max_length=tokens,
        return_tensors="pt",
        return_attention_mask=True,
    )
    device = execution_device(model)
    mask = batch["attention_mask"].to(device)
    states = model(input_ids=batch["input_ids"].to(device), attention_mask=mask).last_hidden_state
    return states.float() * mask[..., None]


def prompt_warnings(tokenizer: PreTrainedTokenizerBase, prompt: str, tokens: int) -> list[str]:
    """What of a prompt the encoder does not take: the end of one that is too long, or a script that it was not trained on."""
    found = tokenizer(clean_prompt(prompt), verbose=False)["input_ids"]
    shown, warnings = prompt if len(prompt) <= 40 else prompt[:40] + "...", []
    if len(found) > tokens:
        warnings.append(
            f"the text encoder takes {tokens} tokens; the last {len(found) - tokens} of {shown!r} are cut off"
        )
    if found.count(tokenizer.unk_token_id) * 2 > len(found):
        warnings.append(
            f"the text encoder does not know most of {shown!r}; is it in a script that it was not trained on?"
        )
    return warnings
