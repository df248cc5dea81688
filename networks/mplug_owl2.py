"""mPLUG-Owl2 (Ye et al. 2023), the network of Q-Align: a ViT, an abstractor of learned queries, and LLaMA-2 with weights by modality.

Built out of transformers' `LlamaModel`; names and shapes of the weights are the published checkpoint's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRMSNorm

LLAMA = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "hidden_act",
    "max_position_embeddings", "rms_norm_eps", "attention_bias",
)  # fmt: skip


@dataclass(frozen=True)
class VisionConfig:
    """Of the ViT; the defaults are the published model's."""

    hidden_size: int = 1024
    intermediate_size: int = 4096
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    image_size: int = 448
    patch_size: int = 14
    layer_norm_eps: float = 1e-6


@dataclass(frozen=True)
class AbstractorConfig:
    """Of the abstractor; `grid_size` is patches a side."""

    num_learnable_queries: int = 64
    hidden_size: int = 1024
    num_hidden_layers: int = 6
    num_attention_heads: int = 16
    intermediate_size: int = 2816
    layer_norm_eps: float = 1e-6
    encoder_hidden_size: int = 1024
    grid_size: int = 32


@dataclass(frozen=True)
class OwlConfig:
    """The three parts of a `config.json` of model type mplug_owl2."""

    llama: LlamaConfig
    vision: VisionConfig
    abstractor: AbstractorConfig

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Self:
        """From the file's values.

        Raises:
            ValueError: another model type.
        """
        if values.get("model_type") != "mplug_owl2":
            raise ValueError(f"it is a {values.get('model_type')!r}, not mplug_owl2")
        visual = values.get("visual_config", {})
        rope = {"rope_type": "default", "rope_theta": values.get("rope_theta", 10_000.0)}
        llama = LlamaConfig(**{name: values[name] for name in LLAMA if name in values}, rope_parameters=rope)
        return cls(
            llama,
            _part(VisionConfig, visual.get("visual_model", {})),
            _part(AbstractorConfig, visual.get("visual_abstractor", {})),
        )


def _part(kind: type, values: Mapping[str, Any]) -> Any:
    return kind(**{field.name: values[field.name] for field in fields(kind) if values.get(field.name) is not None})


class Modality:
    """Which tokens of the running forward pass are the picture's: `(B, S, 1)` bool, seen by every `Multiway`."""

    pictures: Tensor


class Multiway(nn.Module):
    """Two copies of a layer: 0 for words, 1 for the picture's tokens."""

    def __init__(self, make: Callable[[], nn.Module], modality: Modality):
        super().__init__()
        self.multiway = nn.ModuleList([make(), make()])
        self._modality = modality

    def forward(self, x: Tensor) -> Tensor:
        """`(B, S, D)` to `(B, S, D')`."""
        return torch.where(self._modality.pictures, self.multiway[1](x), self.multiway[0](x))


class Owl(nn.Module):
    """A picture between two pieces of text, to the logits of the word that follows."""

    def __init__(self, config: OwlConfig):
        super().__init__()
        llama = config.llama
        self.model = LlamaModel(llama)
        self._modality = Modality()
        for layer in self.model.layers:
            attention = layer.self_attn
            for name in ("k_proj", "v_proj"):
                setattr(attention, name, self._two(_linear_like(getattr(attention, name))))
            for name in ("input_layernorm", "post_attention_layernorm"):
                setattr(layer, name, self._two(lambda: LlamaRMSNorm(llama.hidden_size, llama.rms_norm_eps)))
        self.model.vision_model = Vision(config.vision)
        self.model.visual_abstractor = Abstractor(config.abstractor, llama.hidden_size)
        self.lm_head = nn.Linear(llama.hidden_size, llama.vocab_size, bias=False)

    def _two(self, make: Callable[[], nn.Module]) -> Multiway:
        return Multiway(make, self._modality)

    @torch.no_grad()
    def forward(self, pixels: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """`(B, 3, S, S)` normalised pixels and token ids `(L,)` before and after the picture, to `(B, vocabulary)` float32 logits."""
        picture = self.model.visual_abstractor(self.model.vision_model(pixels))
        words = [self.model.embed_tokens(ids)[None].expand(len(pixels), -1, -1) for ids in (before, after)]
        tokens = torch.cat([words[0], picture, words[1]], dim=1)
        place = torch.arange(tokens.shape[1], device=tokens.device)
        self._modality.pictures = ((place >= len(before)) & (place < len(before) + picture.shape[1]))[None, :, None]
        states = self.model(inputs_embeds=tokens, use_cache=False).last_hidden_state
        return self.lm_head(states[:, -1]).float()


def _linear_like(layer: nn.Linear) -> Callable[[], nn.Linear]:
    inputs, outputs, bias = layer.in_features, layer.out_features, layer.bias is not None
    return lambda: nn.Linear(inputs, outputs, bias)


class Layers(nn.Module):
    """A list of layers under the name that the weights have."""

    def __init__(self, layers: Sequence[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)


class Vision(nn.Module):
    """The ViT: every token after the last norm, the class token first."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        self.embeddings = VisionEmbeddings(config)
        self.encoder = Layers([VisionLayer(config) for _ in range(config.num_hidden_layers)])
        self.post_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)

    def forward(self, pixels: Tensor) -> Tensor:
        """`(B, 3, S, S)` to `(B, 1 + patches, D)`."""
        x = self.embeddings(pixels)
        for layer in self.encoder.layers:
            x = layer(x)
        return self.post_layernorm(x)


class VisionEmbeddings(nn.Module):
    """Patches, a class token, learned positions, and a norm."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        width, patch = config.hidden_size, config.patch_size
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.patch_embed = nn.Conv2d(3, width, patch, patch, bias=False)
        self.position_embedding = nn.Parameter(torch.zeros(1, 1 + (config.image_size // patch) ** 2, width))
        self.pre_layernorm = nn.LayerNorm(width, config.layer_norm_eps)

    def forward(self, pixels: Tensor) -> Tensor:
        """`(B, 3, S, S)` to `(B, 1 + patches, D)`."""
        patches = self.patch_embed(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1)
        return self.pre_layernorm(tokens + self.position_embedding)


class VisionLayer(nn.Module):
    """Pre-norm self-attention and an MLP with quick GELU."""

    def __init__(self, config: VisionConfig):
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.input_layernorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.self_attn = nn.ModuleDict(
            {"query_key_value": nn.Linear(width, 3 * width), "dense": nn.Linear(width, width)}
        )
        self.post_attention_layernorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Linear(width, config.intermediate_size), "fc2": nn.Linear(config.intermediate_size, width)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """`(B, L, D)` to the same."""
        mixed = self.self_attn["query_key_value"](self.input_layernorm(x))
        # The published weight holds query, key and value head by head.
        query, key, value = mixed.unflatten(-1, (self.heads, 3, -1)).permute(3, 0, 2, 1, 4)
        x = x + self.self_attn["dense"](F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        hidden = self.mlp["fc1"](self.post_attention_layernorm(x))
        return x + self.mlp["fc2"](hidden * torch.sigmoid(1.702 * hidden))


class Abstractor(nn.Module):
    """Learned queries gather the picture into a few tokens of LLaMA's width, and an end token."""

    def __init__(self, config: AbstractorConfig, width: int):
        super().__init__()
        self.encoder = Layers([AbstractorLayer(config) for _ in range(config.num_hidden_layers)])
        self.query_embeds = nn.Parameter(torch.zeros(1, config.num_learnable_queries, config.hidden_size))
        self.visual_fc = nn.Linear(config.hidden_size, width)
        self.vit_eos = nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, picture: Tensor) -> Tensor:
        """`(B, 1 + patches, D)` to `(B, queries + 1, width)`."""
        x = self.query_embeds.expand(len(picture), -1, -1)
        for layer in self.encoder.layers:
            x = layer(x, picture)
        return torch.cat([self.visual_fc(x), self.vit_eos.expand(len(picture), -1, -1)], dim=1)


class Queries(nn.Module):
    """Projections of queries, and of what they see, with positions added to all but the values."""

    q_pos_embed: Tensor
    k_pos_embed: Tensor

    def __init__(self, config: AbstractorConfig):
        super().__init__()
        width, seen = config.hidden_size, config.encoder_hidden_size
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(seen, width), nn.Linear(seen, width)
        self.register_buffer("q_pos_embed", torch.from_numpy(_waves(width, np.arange(config.num_learnable_queries))))
        self.register_buffer("k_pos_embed", torch.from_numpy(_grid(width, config.grid_size)))

    def forward(self, queries: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`(B, Q, D)` and `(B, Q + P, D)` to query, key and value."""
        own, all_ = (
            self.q_pos_embed.to(queries.dtype),
            torch.cat([self.q_pos_embed, self.k_pos_embed]).to(queries.dtype),
        )
        return self.query(queries + own), self.key(seen + all_), self.value(seen)


class GatedMLP(nn.Module):
    """SwiGLU (Shazeer 2020) with a norm before the last layer."""

    def __init__(self, config: AbstractorConfig):
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.w1, self.w2, self.w3 = nn.Linear(width, inner), nn.Linear(inner, width), nn.Linear(width, inner)
        self.ffn_ln = nn.LayerNorm(inner, config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return self.w2(self.ffn_ln(F.silu(self.w1(x)) * self.w3(x)))


class AttentionOutput(nn.Module):
    """What follows the attention: a projection and the MLP, each with its residual."""

    def __init__(self, config: AbstractorConfig):
        super().__init__()
        self.out_proj, self.norm2 = nn.Linear(config.hidden_size, config.hidden_size), nn.LayerNorm(config.hidden_size)
        self.mlp = GatedMLP(config)

    def forward(self, attended: Tensor, residual: Tensor) -> Tensor:
        """`(B, Q, D)` both to the same."""
        x = residual + self.out_proj(attended)
        return x + self.mlp(self.norm2(x))


class CrossAttention(nn.Module):
    """The queries attend to themselves and the picture. The residual starts behind the first norm, as published."""

    def __init__(self, config: AbstractorConfig):
        super().__init__()
        self.heads = config.num_attention_heads
        self.attention, self.output = Queries(config), AttentionOutput(config)
        self.norm1, self.normk = nn.LayerNorm(config.hidden_size), nn.LayerNorm(config.encoder_hidden_size)

    def forward(self, queries: Tensor, picture: Tensor) -> Tensor:
        """`(B, Q, D)` and `(B, P, D)` to `(B, Q, D)`."""
        x = self.norm1(queries)
        parts = self.attention(x, torch.cat([x, self.normk(picture)], dim=1))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        return self.output(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2), x)


class AbstractorLayer(nn.Module):
    """A cross-attention under the name that the weights have."""

    def __init__(self, config: AbstractorConfig):
        super().__init__()
        self.crossattention = CrossAttention(config)

    def forward(self, queries: Tensor, picture: Tensor) -> Tensor:
        """`(B, Q, D)` and `(B, P, D)` to `(B, Q, D)`."""
        return self.crossattention(queries, picture)


def _waves(width: int, places: np.ndarray) -> np.ndarray:
    """`(len(places), width)` sines, then cosines (Vaswani et al. 2017, section 3.5)."""
    angles = places[:, None] / 10_000 ** (np.arange(width // 2) / (width / 2))
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _grid(width: int, side: int) -> np.ndarray:
    """`(1 + side^2, width)`: zeros for the class token, then half a width each for column and row of a patch."""
    rows, columns = (axis.ravel() for axis in np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    patches = np.concatenate([_waves(width // 2, columns), _waves(width // 2, rows)], axis=1)
    return np.concatenate([np.zeros((1, width), np.float32), patches])
