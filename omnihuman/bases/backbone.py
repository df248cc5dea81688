"""What a base brings: diffusers' own class with its own key names, so that a published checkpoint loads unchanged, and answers about it.

docs/extend/base.md says how to add one.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from omnihuman.bases.stored import StoredModel
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.errors import InputError
from omnihuman.positions import Tables


@dataclass(frozen=True)
class Revision:
    """A base as it was published.

    Attributes:
        name: for people.
        repository: hub id of diffusers' layout.
        config: what of the published configuration tells it from others.
        parameters: billions, as published.
        shift: of the sampling schedule, as published.
    """

    name: str
    repository: str
    config: Mapping[str, Any]
    parameters: float
    shift: float


class Backbone(StoredModel):
    """The part of every OmniHuman transformer that a base answers for.

    Attributes:
        lora_targets: for peft's LoraConfig(target_modules=...): every attention projection, the audio attention's too.
        takes_video: whether it was trained on videos; an image model takes one latent frame.
        splits_sequence: whether ranks can share a sample's tokens.
        texts: how many text encoders its folder brings.
        rows_beside: rows of text that the others than the words' encoder make.
        revisions: what was published of this base.
        kinds: configuration keys that count blocks, a key for each kind of block; empty where blocks of one count differ.
    """

    splits_sequence: ClassVar[bool] = True
    texts: ClassVar[int] = 1
    rows_beside: ClassVar[int] = 0
    revisions: ClassVar[tuple[Revision, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ("num_layers",)
    lora_targets: ClassVar[tuple[str, ...]]
    takes_video: ClassVar[bool] = True
    config: Any
    gradient_checkpointing: bool
    _gradient_checkpointing_func: Any

    @classmethod
    @abstractmethod
    def sizes(cls, asked: Any) -> dict[str, Any]:
        """The base's configuration as far as a profile's `transformer` section says it."""

    @classmethod
    def unsaid(cls, asked: Any) -> dict[str, Any]:
        """What else a model of a profile's sizes is built with, where no base says it."""
        return {}

    @classmethod
    def revision(cls, config: Mapping[str, Any]) -> Revision | None:
        """The published one that a configuration is of; None of a model of its own sizes."""
        return next(
            (one for one in cls.revisions if all(config.get(key) == value for key, value in one.config.items())), None
        )

    @property
    @abstractmethod
    def stacked_blocks(self) -> Sequence[nn.Module]:
        """Every block in the order in which tokens pass it; each has `audio_attn` and `build_new_parts`."""

    @property
    def width(self) -> int:
        """Of a token."""
        return self.config.num_attention_heads * self.config.attention_head_dim

    @property
    def patch(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns of a token."""
        return self.config.patch_size

    @property
    @abstractmethod
    def read_out(self) -> Sequence[nn.Module | nn.Parameter]:
        """What turns tokens into a velocity: no part of the features that a discriminator reads."""

    @abstractmethod
    def pack(self, hidden_states: Tensor, timestep: Tensor, inputs: ConditionInputs) -> tuple[Tensor, Any, Tensor]:
        """Embed everything and lay video, motion and reference tokens into one sequence; also the timestep's embedding."""

    @abstractmethod
    def embed_patches(self, latents: Tensor) -> Tensor:
        """`(B, C, F, h, w)` to the base's patch embedding `(B, dim, F', h', w')`, position not included."""

    @abstractmethod
    def packed_tables(self, latents: Tensor, kind: int, video: Tensor) -> Tables | None:
        """Rotary tables of reference or motion tokens beside those of a video; None where positions are added (`placed`)."""

    def placed(self, embedded: Tensor, latents: Tensor, kind: int, video: Tensor) -> Tensor:
        """Reference or motion tokens with their positions, of a base that adds them; else as they are."""
        return embedded

    @abstractmethod
    def unpatchify(self, tokens: Tensor, temb: Tensor, shape: torch.Size, total: int) -> Tensor:
        """Read the velocity `(B, C, F, h, w)` out of the tokens, of which the first are the video's."""

    def through(self, tokens: Tensor, packed: Any, blocks: Sequence[nn.Module]) -> Iterator[Tensor]:
        """The tokens after each block."""
        for block in blocks:
            tokens = self.run_block(block, tokens, packed)
            yield tokens

    @classmethod
    def text_width(cls, config: Mapping[str, Any]) -> int:
        """Numbers in a row of text."""
        return config["text_dim"]

    @classmethod
    def of_texts(cls, texts: int) -> dict[str, Any]:
        """Own configuration of a model whose text comes from so many encoders: the words' alone, or all that the base's folder brings.

        Raises:
            InputError: another number.
        """
        if texts not in (1, cls.texts):
            takes = "one encoder" if cls.texts == 1 else f"one encoder or of {cls.texts}"
            raise InputError(
                f"{cls.base_name} takes text of {takes}, and {texts} are named: encoders.text_2 and text_3 are text_encoder_2 and text_encoder_3 of its folder"
            )
        return {}

    @classmethod
    def text_rows(cls, tokens: int, texts: int) -> int:
        """How many rows of text there are, of so many tokens of the words' encoder and so many encoders."""
        return tokens + (cls.rows_beside if texts > 1 else 0)

    def check_texts(self, texts: int) -> None:
        """Refuse text of another number of encoders than this model was built for: rows would stand for something else.

        Raises:
            InputError: with both sides.
        """
        asked = self.of_texts(texts)
        different = {name: (self.config[name], value) for name, value in asked.items() if self.config[name] != value}
        if different:
            raise InputError(
                f"{self.base_name} was built for text of another number of encoders than the {texts} that the profile names (model, profile): {different}; "
                "set encoders.text_2 and text_3 as its training had them"
            )

    def grid(self, latents: Tensor) -> tuple[int, int, int]:
        """Latents, token rows and token columns."""
        p_t, p_h, p_w = self.patch
        return latents.shape[2] // p_t, latents.shape[3] // p_h, latents.shape[4] // p_w

    def run_block(self, block: nn.Module, *inputs: Any) -> Any:
        """One block, its activations kept or computed again as the model is set."""
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return self._gradient_checkpointing_func(block, *inputs)
        return block(*inputs)
