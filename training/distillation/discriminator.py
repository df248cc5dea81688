"""APT's discriminator: the diffusion backbone, all of it trained, with three cross-attention heads (APT section 4.3).

The input is a clean sample; the timestep given to the backbone is drawn by `shift(u, s)`. Heads sit at the depths 16/36,
26/36 and 36/36 of APT's 36 layers: blocks 13, 22, 30 of Wan-1.3B and 18, 29, 40 of Wan-14B, and of all blocks of an MMDiT whatever their kind.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omnihuman.bases.model import OmniHumanModel
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.deferred_imports import deferring
from omnihuman.precision import compute_by_dtype, without_autocast
from training.errors import TrainingError

with deferring():  # else diffusers brings PyTorch's compiler
    from diffusers.models.attention_dispatch import dispatch_attention_fn
    from diffusers.models.normalization import FP32LayerNorm

# `last` is what APT section 5.3 found to get proportions wrong.
DEPTHS = {"apt": (16 / 36, 26 / 36, 1.0), "last": (1.0,)}


def head_blocks(layers: int, heads: str = "apt") -> tuple[int, ...]:
    """Blocks (counted from 1) after which the heads read, for a backbone of `layers` blocks.

    Raises:
        TrainingError: two heads would read the same block.
    """
    blocks = tuple(round(depth * layers) for depth in DEPTHS[heads])
    if len(set(blocks)) < len(blocks) or 0 in blocks:
        raise TrainingError(
            f"a discriminator of {layers} layers has no {len(blocks)} heads of their own; set transformer.num_layers to 3 or more, or heads: last in "
            "both adversarial sections"
        )
    return blocks


class QueryHead(nn.Module):
    """One learned query attends to all video tokens of a layer; pre-RMSNorm, QK-RMSNorm, residual, MLP."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Parameter(torch.randn(1, 1, dim) / dim**0.5)
        self.norm_tokens, self.norm_query, self.norm_mlp = nn.RMSNorm(dim), nn.RMSNorm(dim), nn.RMSNorm(dim)
        self.to_q, self.to_k, self.to_v, self.to_out = (nn.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = nn.RMSNorm(dim), nn.RMSNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"), nn.Linear(4 * dim, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """`(B, N, dim)` to `(B, dim)`."""
        tokens = self.norm_tokens(tokens)
        query = self.query.expand(tokens.shape[0], -1, -1)
        q = self.norm_q(self.to_q(self.norm_query(query))).unflatten(2, (self.heads, -1))
        k = self.norm_k(self.to_k(tokens)).unflatten(2, (self.heads, -1))
        v = self.to_v(tokens).unflatten(2, (self.heads, -1))
        token = query + self.to_out(dispatch_attention_fn(q, k, v).flatten(2, 3))
        return (token + self.mlp(self.norm_mlp(token))).squeeze(1)


class Float32Linear(nn.Linear):
    """Computes in float32: R1 is the square of a small difference of logits, below bfloat16's spacing."""

    def forward(self, input: Tensor) -> Tensor:
        """`(B, in)` to `(B, out)` float32."""
        with without_autocast(input.device):
            return F.linear(input.float(), self.weight.float(), self.bias.float())


class ScaledGradient(torch.autograd.Function):
    """The same values; on the way back their gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        """Remember the factor."""
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        """Apply it."""
        return ctx.factor * slopes[0], None


class Critic(nn.Module):
    """A backbone that is asked for its features, and the heads that read them."""

    def __init__(self, backbone: nn.Module, model: OmniHumanModel, heads: str):
        """`backbone` is `model` or holds it; its original diffusion weights (not the distilled ones) are trained in place."""
        from deepspeed.runtime.zero import register_external_parameter

        super().__init__()
        self.backbone = backbone.requires_grad_(True)
        # The velocity read-out is no part of the features; without a gradient it must not look trainable.
        for part in model.read_out:
            part.requires_grad_(False)
        attention_heads, dim = model.config.num_attention_heads, model.width
        self.blocks = head_blocks(model.depth, heads)
        self.query_heads = nn.ModuleList(QueryHead(dim, attention_heads) for _ in self.blocks)
        self.norm_logit = FP32LayerNorm(dim * len(self.blocks))
        self.logit = Float32Linear(dim * len(self.blocks), 1)
        compute_by_dtype(self.query_heads, ())
        # The backbone is asked for its features and not called, so that its own parameters are used by this module: said here, for what ZeRO-3 finds out
        # by itself it may find out in the second pass, when the order of the first is recorded.
        register_external_parameter(self, model.token_types)

    def logits(self, seen: Sequence[Tensor]) -> Tensor:
        """`(N,)` float32 of features `(N, tokens, dim)` after each of `blocks`."""
        tokens = [head(features) for head, features in zip(self.query_heads, seen, strict=True)]
        return self.logit(self.norm_logit(torch.cat(tokens, dim=-1).float())).squeeze(-1)


class Discriminator(Critic):
    """Backbone features to one logit per sample; text, reference, audio and pose enter through the backbone."""

    backbone: OmniHumanModel

    def __init__(self, backbone: OmniHumanModel, heads: str = "apt"):
        """`backbone` holds the original diffusion weights and is trained in place."""
        super().__init__(backbone, backbone, heads)

    def forward(self, x: Tensor, t: Tensor, conditions: ConditionInputs, exact: bool = False) -> Tensor:
        """`(B,)` float32 logits of clean latents `(B, C, F, h, w)` at t `(B,)` float32 in [0, 1].

        With `exact` everything is computed in the weights' dtype, of a training float32: the penalty is a small difference of two
        logits, and of it rounding to bfloat16 leaves nothing (docs/reference/precision.md).
        """
        with without_autocast(x.device) if exact else nullcontext():
            seen = self.backbone.features(self.blocks, x, t * 1000, conditions)
            ranks = self.backbone.tokens_are_shared_by
            if ranks > 1:
                # Gradients of ranks that share tokens are summed. The heads read all tokens on each of them, so each gives its share.
                seen = [ScaledGradient.apply(features, float(ranks)) for features in seen]
            logits = self.logits(seen)
            return ScaledGradient.apply(logits, 1.0 / ranks) if ranks > 1 else logits
