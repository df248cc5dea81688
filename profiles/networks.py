"""The frozen encoders and the transformer's sizes."""

from math import gcd
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from profiles.base import Positive, Strict


def _in_order(states: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if states is not None and list(states) != sorted(set(states)):
        raise ValueError(f"audio_states are numbers of hidden states, each once and rising; got {list(states)}")
    return states


NETWORKS = ("autoencoder", "text", "text_2", "text_3", "audio")
States = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class EncoderConfig(Strict):
    """Where the frozen encoders come from: a local folder, `package:NAME/SUBFOLDER` of an installed package, or a hub id."""

    autoencoder: str
    text: str
    # Of bases whose published folder brings text_encoder_2 and text_encoder_3: HunyuanVideo's CLIP, HunyuanVideo-1.5's ByT5, and of Stable Diffusion 3.5
    # its second CLIP and T5. Without them such a base is given nothing there.
    text_2: str | None = None
    text_3: str | None = None
    text_tokens: Positive = 32
    audio: str
    # Which of the audio encoder's hidden states models hear and features keep, 0 the input of its first layer; null is all of them.
    audio_states: Annotated[States | None, AfterValidator(_in_order)] = None
    # How features keep latents: as they are, or in 8 bits with a scale for each channel of each latent frame, which is half of it.
    latents: Literal["float16", "int8"] = "float16"
    # "puppet" reads the puppets' coloured joints, "mediapipe" is the packaged detector of real people; otherwise the
    # folder of a COCO-WholeBody-133 detector's two ONNX files (DWPose, RTMW).
    keypoints: str = "puppet"

    @model_serializer(mode="wrap")
    def _as_before_there_was_a_choice(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Latents in float16, all hidden states and one text encoder go unsaid: what was made of such features stays current."""
        unsaid = (("latents", "float16"), ("audio_states", None), ("text_2", None), ("text_3", None))
        return {key: value for key, value in values(self).items() if (key, value) not in unsaid}

    @property
    def named(self) -> dict[str, str]:
        """Sources of the networks that are given, by key: autoencoder, text, text_2 and text_3 where there are some, audio."""
        return {name: source for name in NETWORKS if (source := getattr(self, name)) is not None}

    @property
    def texts(self) -> tuple[str, ...]:
        """Sources of the text encoders, in the order of a published folder."""
        return tuple(source for name, source in self.named.items() if name.startswith("text"))

    @model_validator(mode="after")
    def _in_the_published_order(self) -> Self:
        if self.text_3 is not None and self.text_2 is None:
            raise ValueError("text_3 is given and text_2 is not: they are a base's text_encoder_3 and text_encoder_2")
        return self


class TransformerConfig(Strict):
    """A base's own sizes and OmniHuman's new parts. A `base` must have these sizes: plans go by them.

    Attributes:
        base: where the first stage begins: a published transformer (folder, file or hub id), or one of OmniHuman's own, whose conditions are trained already.
        architecture: which base it is, by name (docs/extend/base.md); null is what the folder of `base` says, and `wan` without one.
        num_layers: blocks; of `hunyuan_video` those of two streams.
        num_single_layers: `hunyuan_video`'s blocks of one stream.
        latent_channels: of the autoencoder; checked against it where it is loaded.
    """

    base: str | None = None
    architecture: str | None = None
    num_layers: Positive = 6
    num_single_layers: Annotated[int, Field(ge=0)] = 0
    num_attention_heads: Positive = 6
    attention_head_dim: Positive = 32
    ffn_dim: Positive = 768
    text_dim: Positive = 384
    freq_dim: Positive = 256
    rope_max_seq_len: Positive = 1024
    latent_channels: Positive = 16
    audio_dim: Positive = 64
    audio_layers: Positive = 4
    audio_window: Annotated[int, Field(ge=0)] = 1
    audio_blocks: tuple[int, ...] | None = None
    pose_keypoints: tuple[int, ...] = (7, 8, 9, 10)
    pose_channels: Positive = 16
    reference_position: Literal["far", "zero"] = "far"
    reference_index: Positive = 30

    @model_serializer(mode="wrap")
    def _as_when_latents_had_16_channels(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Wan2.1's go unsaid: what was made with them stays current."""
        unsaid = (("latent_channels", 16), ("architecture", None), ("num_single_layers", 0))
        return {key: value for key, value in values(self).items() if (key, value) not in unsaid}

    @property
    def units(self) -> int:
        """How many equal parts the blocks of all kinds are: what plans trace one and two of."""
        return gcd(self.num_layers, self.num_single_layers)

    def of_units(self, count: int) -> Self:
        """The same with so many of them, and no base."""
        dual, single = (layers // self.units * count for layers in (self.num_layers, self.num_single_layers))
        heard = self.audio_blocks and tuple(block for block in self.audio_blocks if block < dual + single)
        changed = {"base": None, "num_layers": dual, "num_single_layers": single, "audio_blocks": heard}
        return self.model_copy(update=changed)
