"""The streaming student's discriminator: block-causal as the student, with a logit for every latent (APT2 section 3.3)."""

from contextlib import nullcontext

from torch import Tensor

from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.precision import without_autocast
from omnihuman.streaming.causal import CausalTransformer
from training.distillation.discriminator import Critic


class CausalDiscriminator(Critic):
    """Tokens of each latent, which have seen those before it, to one logit for that latent."""

    backbone: CausalTransformer

    def __init__(self, backbone: CausalTransformer, heads: str = "apt"):
        """`backbone` holds the original diffusion weights and is trained in place."""
        super().__init__(backbone, backbone.transformer, heads)

    def forward(self, x: Tensor, t: Tensor, conditions: ConditionInputs, exact: bool = False, start: int = 0) -> Tensor:
        """`(B, n)` float32 logits of clean latents `(B, C, n, h, w)`, which are latents `start` and on of a clip, at t `(B,)` in [0, 1].

        `exact` as `training.distillation.discriminator.Discriminator`'s.
        """
        with without_autocast(x.device) if exact else nullcontext():
            seen = self.backbone.features(self.blocks, x, t * 1000, conditions, start)
            return self.logits([part.flatten(0, 1) for part in seen]).view(len(x), x.shape[2])
