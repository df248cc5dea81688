"""Our transformer with conditions off against bare `WanTransformer3DModel`, forward and backward, laptop size."""

import torch
from diffusers import WanTransformer3DModel

from benchmarks.interleaved import Comparison, compare
from omnihuman import OmniHumanTransformer3DModel

SIZES = {"num_attention_heads": 6, "attention_head_dim": 32, "text_dim": 384, "ffn_dim": 768, "num_layers": 6}


def inputs(batch: int = 16) -> dict[str, torch.Tensor]:
    """Laptop latents, timesteps and text."""
    return {
        "hidden_states": torch.randn(batch, 16, 5, 8, 8),
        "timestep": torch.rand(batch) * 1000,
        "encoder_hidden_states": torch.randn(batch, 32, 384),
    }


def conditions_off() -> Comparison:
    """Forward and backward of one clip, many times.

    Both run the same operations (tests/omnihuman/test_transformer.py counts them). One clip shows what little Python lies
    between them best, and its steps are short enough to find their minimum on a busy machine: 16 clips gave 0.76 to 1.07.
    """
    wan = WanTransformer3DModel(**SIZES)
    ours = OmniHumanTransformer3DModel(**SIZES, audio_dim=64, audio_layers=4, pose_keypoints=4)
    given = inputs(batch=1)

    def step(model: torch.nn.Module) -> None:
        model(**given).sample.square().mean().backward()

    return compare(lambda: step(ours), lambda: step(wan), rounds=150)


def one_step_against_teacher(steps: int = 20) -> Comparison:
    """Transformer time of one evaluation against `steps` evaluations, without guidance."""
    model = OmniHumanTransformer3DModel(**SIZES, audio_dim=64, audio_layers=4, pose_keypoints=4).eval()
    given = inputs() | {"audio": torch.randn(16, 17, 4, 64), "reference": torch.randn(16, 16, 1, 8, 8)}

    @torch.no_grad()
    def sample(count: int) -> None:
        for _ in range(count):
            model(**given)

    return compare(lambda: sample(1), lambda: sample(steps), rounds=3)
