"""Prompt, picture, sound and keypoints to what the transformer takes: the half of the pipeline that runs once, not at every step."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from diffusers.utils import logging
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Wav2Vec2Model

from media.speech.level import RATE
from omnihuman.autoencoder import LatentGrid, encode_video, to_pixels
from omnihuman.bases.model import OmniHumanModel
from omnihuman.conditions.audio import encode_audio
from omnihuman.conditions.encoding_cache import EncodingCache, state_of
from omnihuman.conditions.hearing import prepared
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.conditions.pose import render_heatmaps
from omnihuman.conditions.text import ENCODERS, TOKENIZERS, prompt_warnings
from omnihuman.conditions.text_of_bases import encode_text, words_tokenizer
from omnihuman.errors import InputError
from omnihuman.placement import execution_device

# What an autoencoder's tiles are, as far as its class has them.
TILES = ("tile_sample_min_height", "tile_sample_min_width", "tile_sample_stride_height", "tile_sample_stride_width")
logger = logging.get_logger(__name__)


class ConditionEncoding:
    """A part of `OmniHumanPipeline`, whose modules and configuration it reads."""

    transformer: OmniHumanModel
    vae: Any
    text_encoder: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    text_encoder_2: PreTrainedModel | None
    tokenizer_2: PreTrainedTokenizerBase | None
    text_encoder_3: PreTrainedModel | None
    tokenizer_3: PreTrainedTokenizerBase | None
    audio_encoder: Wav2Vec2Model
    encoding_cache: EncodingCache
    config: Any
    # The sound that came last, its version, and as it is heard.
    _heard: tuple[Tensor, int, Tensor] | None = None

    def encode_conditions(
        self,
        prompts: Sequence[str],
        reference: Tensor | None,
        audio: Tensor | None,
        tracks: Mapping[str, Tensor],
        frames: int,
        height: int,
        width: int,
    ) -> ConditionInputs:
        """Everything of one clip; `tracks` are `(B, frames, ...)` by condition, for example keypoints under "pose"."""
        given = self._person(prompts, reference) | self._movement(audio, tracks, frames, height, width)
        return ConditionInputs(**self._for_transformer(given))

    def encode_person(self, prompts: Sequence[str], reference: Tensor | None) -> ConditionInputs:
        """Text and reference: what stays the same over a whole video. Warns of prompts that the encoder does not take whole."""
        return ConditionInputs(**self._for_transformer(self._person(prompts, reference)))

    def encode_movement(
        self,
        person: ConditionInputs,
        audio: Tensor | None,
        tracks: Mapping[str, Tensor],
        frames: int,
        height: int,
        width: int,
        begin: int = 0,
    ) -> ConditionInputs:
        """The person with sound and tracks of one segment: the whole sound, in which the segment begins at the sample `begin`, and the
        segment's own part of each track."""
        given = self._movement(audio, tracks, frames, height, width, begin)
        return replace(person, **self._for_transformer(given))

    def _person(self, prompts: Sequence[str], reference: Tensor | None) -> dict[str, Tensor]:
        self._warn_of_prompts(prompts)
        conditions = {"text": self._text(prompts)}
        if reference is not None:
            vae = self.vae
            tiles = (vae.use_tiling, *(getattr(vae, name, None) for name in TILES))
            conditions["reference"] = self.encoding_cache.get(
                vae, reference, tiles, lambda: encode_video(vae, to_pixels(reference[:, None]))
            )
        return conditions

    def _movement(
        self, audio: Tensor | None, tracks: Mapping[str, Tensor], frames: int, height: int, width: int, begin: int = 0
    ) -> dict[str, Tensor]:
        encode_track = {"pose": self._heatmaps}
        conditions = {}
        if audio is not None:
            fps, states = self.config.fps, tuple(self.config.audio_states)
            sound = self._prepared(audio)[:, begin : begin + round(frames / fps * RATE)]
            conditions["audio"] = self.encoding_cache.get(
                self.audio_encoder,
                sound,
                (frames, fps, states),
                lambda: encode_audio(self.audio_encoder, sound, frames, fps, states),
            )
        return conditions | {name: encode_track[name](track, height, width) for name, track in tracks.items()}

    def _heatmaps(self, keypoints: Tensor, height: int, width: int) -> Tensor:
        grid = LatentGrid.of(self.vae)
        _, _, rows, columns = grid.shape(1, height, width)
        return render_heatmaps(keypoints, self.config.pose_keypoints, rows, columns, grid.stride)

    def _prepared(self, audio: Tensor) -> Tensor:
        """A long video asks for a piece of the same sound at every segment."""
        if audio.is_inference():  # it has no version to go by
            return prepared(audio, self.config.normalise_sound)
        if self._heard is None or self._heard[0] is not audio or self._heard[1] != audio._version:
            self._heard = audio, audio._version, prepared(audio, self.config.normalise_sound)
        return self._heard[2]

    def forget_sound(self) -> None:
        """Let go of the sound that was heard last."""
        self._heard = None

    def _null_text(self, conditions: ConditionInputs, negative_prompt: str | Sequence[str] = "") -> Tensor:
        count = len(conditions.text)
        prompts = [negative_prompt] * count if isinstance(negative_prompt, str) else list(negative_prompt)
        if len(prompts) != count:
            raise InputError(f"{len(prompts)} negative prompts for {count} prompts; give one for all, or one each")
        return self._text(prompts).to(conditions.text)

    @property
    def text_encoders(self) -> list[PreTrainedModel]:
        """Those that there are, in the order of a published folder."""
        return [model for name in ENCODERS if (model := getattr(self, name)) is not None]

    @property
    def tokenizers(self) -> list[PreTrainedTokenizerBase]:
        """One of each text encoder."""
        return [tokenizer for name in TOKENIZERS if (tokenizer := getattr(self, name)) is not None]

    def _text(self, prompts: Sequence[str]) -> Tensor:
        (first, *more), tokenizers, tokens = self.text_encoders, self.tokenizers, self.config.text_tokens
        return self.encoding_cache.get(
            first,
            tuple(prompts),
            (tokens, *map(id, tokenizers), *((id(model), state_of(model)) for model in more)),
            lambda: encode_text([first, *more], tokenizers, prompts, tokens),
        )

    def _for_transformer(self, conditions: dict[str, Tensor]) -> dict[str, Tensor]:
        # Under `enable_model_cpu_offload` a network goes back when its successor begins, and here that one may not run at all: its
        # condition is off, or its encoding is kept. So the text encoder would lie beside the transformer.
        for hook in getattr(self, "_all_hooks", ()):
            hook.offload()
        # Looked up once: diffusers goes through all of a model's modules for its dtype.
        device, dtype = execution_device(self.transformer), self.transformer.dtype
        return {name: value.to(device, dtype) for name, value in conditions.items()}

    def _warn_of_prompts(self, prompts: Sequence[str]) -> None:
        tokenizer = words_tokenizer(self.text_encoders, self.tokenizers)
        for prompt in prompts:
            for warning in prompt_warnings(tokenizer, prompt, self.config.text_tokens):
                logger.warning(warning)
