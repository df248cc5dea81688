"""The frozen encoders and the transformer's sizes."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer

from profiles.base import Positive, Strict


def _in_order(states: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if states is not None and list(states) != sorted(set(states)):
        raise ValueError(f"audio_states are numbers of hidden states, each once and rising; got {list(states)}")
    return states


States = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class EncoderConfig(Strict):
    """Where the frozen encoders come from: a local folder, `package:NAME/SUBFOLDER` of an installed package, or a hub id."""

    autoencoder: str
    text: str
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
        """Latents in float16 and all hidden states go unsaid: what was made of such features stays current."""
        unsaid = (("latents", "float16"), ("audio_states", None))
        return {key: value for key, value in values(self).items() if (key, value) not in unsaid}


class TransformerConfig(Strict):
    """Wan's own sizes and OmniHuman's new parts. A `base` must have these sizes: plans go by them.

    Attributes:
        base: where the first stage begins: a Wan2.1 transformer (folder, file or hub id), or one of OmniHuman's own, whose conditions are trained already.
        latent_channels: of the autoencoder; checked against it where it is loaded.
    """

    base: str | None = None
    num_layers: Positive = 6
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
        return {key: value for key, value in values(self).items() if (key, value) != ("latent_channels", 16)}
