"""Text: frozen encoders of transformers (UMT5 for Wan2.1, MiniLM on the laptop, up to three of other bases), read with their tokenizers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from media.weights import load_network
from omnihuman.conditions.prompts import clean_prompt
from omnihuman.conditions.text_of_bases import encode_text, words_encoder
from omnihuman.deferred_imports import deferring
from omnihuman.errors import InputError, MissingWeights, reading_weights

TEXT_REMEDY = "download the text encoder's folder again, or put the config.json there that belongs to the files"
# As published folders name them.
ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3")
# transformers' classes of what is read otherwise than by AutoModel; imported where they are asked for.
HALVES = {"umt5": "UMT5EncoderModel", "t5": "T5EncoderModel"}
PROJECTED = "CLIPTextModelWithProjection"
# A table of numbers from 0 on that transformers once kept in files, and heads for tasks that nobody asks for here.
TEXT_BESIDE = (r"(.*\.)?embeddings\.position_ids$", r"cls\.", r"lm_head\.", r"decoder\.")


class TextEncoder:
    """Loads a base's text encoders and their tokenizers, each from one folder or hub id, or the tokenizer from beside it, where diffusers has it.

    Attributes:
        models: in the order of the published folder: text_encoder, text_encoder_2, text_encoder_3.
        tokenizers: one of each.
        tokens: that the words' encoder takes.
    """

    @deferring()
    def __init__(self, paths: Sequence[str | Path], tokens: int, width: int, dtype: torch.dtype = torch.float32):
        """Read them.

        Args:
            paths: of the encoders, in the order of the published folder.
            tokens: that the words' encoder takes.
            width: of a row of text that the model takes.
            dtype: of the weights.

        Raises:
            MissingWeights: naming the path when nothing is there that can be read.
            InputError: as `check_text_width`, before weights are read.
        """
        check_text_width(paths, width)
        self.models: list[PreTrainedModel] = []
        self.tokenizers: list[PreTrainedTokenizerBase] = []
        for path in paths:
            with reading_weights(path):
                self.models.append(load_text_model(path, dtype))
                self.tokenizers.append(load_tokenizer(tokenizer_of(path)))
        self.tokens = tokens

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """`(B, rows, D)` float32; see `encode_text`."""
        return encode_text(self.models, self.tokenizers, prompts, self.tokens)

    def modules(self) -> dict[str, Any]:
        """Models and tokenizers under the names that published folders and pipelines have for them."""
        return dict(zip(ENCODERS, self.models, strict=False)) | dict(zip(TOKENIZERS, self.tokenizers, strict=False))


def check_text_width(paths: Sequence[str | Path], width: int) -> int:
    """Compare the words' encoder with what a model takes, by their configurations alone.

    Args:
        paths: of a base's text encoders, in the order of its published folder.
        width: of a row of text that the model takes.

    Returns:
        Numbers in a row of text.

    Raises:
        MissingWeights: naming the path when nothing is there that can be read.
        InputError: the encoders are no base's, or the words' has rows of another width.
    """
    configs = []
    for path in paths:
        with reading_weights(path):
            configs.append(AutoConfig.from_pretrained(str(path)))
    which = words_encoder([config.model_type for config in configs])
    found = configs[which].hidden_size
    if found != width:
        raise InputError(
            f"the text encoder {paths[which]} gives {found} numbers a row, and the model takes {width} (transformer.text_dim): name the text encoder "
            "that the base was published with, or set the model's width to the encoder's"
        )
    return found


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
    """Where a text encoder's tokenizer is: in its folder, or beside it, where diffusers has it: `tokenizer_2` beside `text_encoder_2`."""
    beside = Path(path).parent / dict(zip(ENCODERS, TOKENIZERS, strict=True)).get(Path(path).name, TOKENIZERS[0])
    here = any((Path(path) / name).is_file() for name in ("tokenizer_config.json", "tokenizer.json"))
    return beside if beside.is_dir() and not here else path


def load_text_model(path: str | Path, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """T5s by their encoder half alone (UMT5 is Wan2.1's), CLIP with its projection where its folder says so, any other architecture whole; frozen,
    safetensors only.

    Raises:
        WrongWeights: not this network's weights, whole.
    """
    config = AutoConfig.from_pretrained(str(path))
    projected = PROJECTED in (config.architectures or ())
    loader = getattr(transformers, PROJECTED if projected else HALVES.get(config.model_type, "AutoModel"))
    return load_network(loader, path, TEXT_REMEDY, may_have=TEXT_BESIDE, dtype=dtype).eval().requires_grad_(False)


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
