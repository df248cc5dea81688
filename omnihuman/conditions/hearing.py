"""What a speech encoder is given: sound normalised or at a stated level, as its folder says (docs/decisions/0047-speech-at-a-stated-level.md)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging
from torch import Tensor
from transformers.utils.hub import cached_file

from media.speech.level import measure_speech, prepare_speech
from omnihuman.errors import InputError

logger = logging.get_logger(__name__)
PREPROCESSOR, RECIPE = "preprocessor_config.json", "RECIPE.json"
VERSION = "without-padding-1"  # changes with what `encode_audio` makes of the same sound


@dataclass(frozen=True)
class Hearing:
    """How an encoder was taught to hear.

    Attributes:
        normalised: sound has mean 0 and variance 1 (`do_normalize`).
        masked: padding is hidden from attention (`return_attention_mask`). No window of ours has any, so nothing follows from it but
            the record.
    """

    normalised: bool
    masked: bool

    @classmethod
    def read(cls, source: str | Path) -> "Hearing":
        """By the encoder's own `preprocessor_config.json`, in a folder or at a hub id.

        Without that file: what our own recipe made (`RECIPE.json`) was taught on sound as it is. Any other by its `feat_extract_norm`:
        layer norm hears how loud a sound is, and all that were published with it were taught on normalised sound; group norm over
        time does not hear it.

        Raises:
            InputError: the file is no JSON object, or another rate than 16 kHz.
        """
        said = _json(source, PREPROCESSOR)
        if said is None:
            if (Path(source) / RECIPE).is_file():
                return cls(False, False)
            layered = (_json(source, "config.json") or {}).get("feat_extract_norm") == "layer"
            return cls(layered, layered)
        if said.get("sampling_rate", 16_000) != 16_000:
            raise InputError(
                f"{source}: {PREPROCESSOR} asks for {said['sampling_rate']} Hz; speech encoders hear 16000 Hz"
            )
        return cls(bool(said.get("do_normalize", True)), bool(said.get("return_attention_mask", False)))

    @property
    def identity(self) -> str:
        """What features that were heard so carry."""
        return f"{VERSION} {'normalised' if self.normalised else 'at a level'}{' masked' if self.masked else ''}"


def _json(source: str | Path, name: str) -> dict[str, Any] | None:
    path = cached_file(
        str(source), name, _raise_exceptions_for_missing_entries=False, _raise_exceptions_for_connection_errors=False
    )
    if path is None:
        return None
    try:
        values = json.loads(Path(path).read_text())
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}); download it again") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} is no JSON object; download it again")
    return values


def prepared(sounds: Tensor, normalised: bool) -> Tensor:
    """`(B, S)` whole sounds at 16 kHz as an encoder hears them; warns of a voice whose level was changed."""
    made = []
    for sound in sounds.cpu().float().numpy():
        measure = measure_speech(sound)
        if measure.note and not normalised:
            logger.warning(measure.note)
        made.append(prepare_speech(sound, measure, normalised))
    # Of one long sound no further copy.
    heard = torch.from_numpy(made[0])[None] if len(made) == 1 else torch.from_numpy(np.stack(made))
    return heard.to(sounds.device)
