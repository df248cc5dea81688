"""FLOPs that MFU counts are those that the model's matrix products take."""

import pytest
import torch
from diffusers.models.attention_dispatch import attention_backend
from torch.utils.flop_counter import FlopCounterMode

from omnihuman import OmniHumanTransformer3DModel
from profiles import load_profile
from tests.training.synthetic import TINY
from training.engine.throughput import Throughput, batch_flops
from training.plan.forward import forward_flops
from training.plan.passes import largest_bucket, stage_passes
from training.plan.stand_ins import fake_batch
from training.plan.trace import without_bytes
from training.stages.model import build_transformer

SIZES = {"num_attention_heads": 4, "attention_head_dim": 24, "text_dim": 32, "ffn_dim": 384, "num_layers": 3}


@pytest.mark.parametrize("audio_blocks", [None, (0, 2)])
def test_forward_flops_agree_with_torchs_counter(audio_blocks):
    model = OmniHumanTransformer3DModel(
        **SIZES, audio_dim=8, audio_layers=2, pose_keypoints=2, pose_channels=4, audio_blocks=audio_blocks
    )
    given = {
        "hidden_states": torch.randn(1, 16, 3, 16, 16),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 20, 32),
        "audio": torch.randn(1, 9, 2, 8),
        "reference": torch.randn(1, 16, 1, 16, 16),
        "motion": torch.randn(1, 16, 2, 16, 16),
    }
    # The counter does not know the fused CPU kernel.
    with attention_backend("_native_math"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(**given)
    given, packed = {"audio", "reference", "motion"}, {"reference": 1, "motion": 2}
    assert forward_flops(model.config, (16, 3, 16, 16), 20, packed, given) == counter.get_total_flops()


def test_utilisation_counts_what_the_plan_counts():
    profile = load_profile("laptop", TINY)
    bucket, ratios = largest_bucket(profile), profile.stage_3.ratios
    with without_bytes():
        batch = fake_batch(profile, bucket, 2, ratios, torch.float32)
    planned = stage_passes(profile, "stage_3", 2).looking["held-out look"].all_flops
    assert batch_flops(build_transformer(profile, None, 0).config, batch) == pytest.approx(planned, rel=1e-9)


def test_utilisation_is_flops_over_peak():
    row = Throughput(peak=2.0, devices=4).row(seconds=0.5, tokens=100, flops=1e12)
    assert row["tokens_per_second"] == 200.0
    assert row["mfu"] == pytest.approx(3 * 1e12 / 0.5 / (2.0e12 * 4))


def test_without_a_known_peak_no_utilisation_is_claimed():
    assert "mfu" not in Throughput(peak=None, devices=1).row(0.5, 100, 1e12)
