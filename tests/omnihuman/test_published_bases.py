"""The published configurations on the meta device: every key of diffusers' model is accounted for, and the sizes are the published ones."""

import pytest
import torch

from omnihuman.bases.model import NEW_PARTS
from omnihuman.bases.registry import bases
from omnihuman.bases.weights import own_arguments

REVISIONS = [(base, revision) for base in bases() for revision in base.load().revisions]
# What its config.json says beside what tells it from others.
ALSO = {
    "Wan2.1-I2V-14B": {"image_dim": 1280, "added_kv_proj_dim": 5120},
    "Wan2.2-TI2V-5B": {"out_channels": 48},
    "HunyuanVideo-1.5": {"task_type": "t2v"},
    "Stable Diffusion 3.5 medium": {
        "caption_projection_dim": 1536,
        "attention_head_dim": 64,
        "dual_attention_layers": tuple(range(13)),
        "qk_norm": "rms_norm",
        "pos_embed_max_size": 384,
    },
}
# By diffusers' classes; names of the rounded sizes are Revision.parameters.
COUNTED = {
    "Wan2.1-T2V-1.3B": 1_418_996_800,
    "Wan2.1-T2V-14B": 14_288_491_584,
    "Wan2.1-I2V-14B": 16_394_878_784,
    "Wan2.2-TI2V-5B": 4_999_787_712,
    "HunyuanVideo": 12_821_012_544,
    "HunyuanVideo-1.5": 8_326_608_160,
    "Stable Diffusion 3.5 medium": 2_243_171_520,
}


@pytest.mark.parametrize(("base", "revision"), REVISIONS, ids=lambda part: getattr(part, "name", ""))
def test_every_key_of_the_published_model_is_there_and_every_other_is_a_new_part(base, revision):
    kind = base.load()
    config = {**revision.config, **ALSO.get(revision.name, {})}
    with torch.device("meta"):
        bare, ours = kind.published(**config), kind(**config)
    published, own = bare.state_dict(), ours.state_dict()
    assert {name: value.shape for name, value in published.items()} == {name: own[name].shape for name in published}
    new = {name.split(".")[0] if ".audio_attn." not in name else "audio_attn" for name in own.keys() - published.keys()}
    assert new == {"audio_attn", "audio_projection", "pose_guider", "pose_patch_embedding", "token_types"}
    assert len([name for name in own if name.endswith("audio_attn.to_out.weight")]) == ours.depth
    assert set(own_arguments(kind)) >= {*own_arguments(kind.published), *NEW_PARTS}
    assert kind.revision(bare.config) == revision
    count = sum(parameter.numel() for parameter in bare.parameters())
    print(f"{revision.name}: {count:,} parameters, published as {revision.parameters} billion")
    assert count == COUNTED[revision.name]
