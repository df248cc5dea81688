"""What a base is not asked or given: one error that names both sides. And what one alone takes: times by token."""

import json

import pytest
import torch

from omnihuman.bases.checkpoint import CheckpointError
from omnihuman.bases.registry import base_at, base_named
from omnihuman.errors import InputError
from profiles import load_profile
from tests.omnihuman.small_bases import NEW, SMALL
from training.distillation.discriminator import head_blocks
from training.errors import TrainingError
from training.stages.model import base_of, build_transformer


def changed(folder, **values):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return folder


@pytest.fixture
def hunyuan(tmp_path):
    SMALL["hunyuan_video"].save(tmp_path / "transformer")
    return tmp_path / "transformer"


def test_a_folder_of_another_family_is_refused_with_the_list(hunyuan):
    assert base_at(hunyuan.parent) == base_at(hunyuan) == base_named("hunyuan_video")
    changed(hunyuan, _class_name="FluxTransformer2DModel")
    with pytest.raises(InputError, match=r"holds a FluxTransformer2DModel.*WanTransformer3DModel \(wan\), .*SD3"):
        base_at(hunyuan)
    with pytest.raises(InputError, match="'flux'; there are hunyuan_video, hunyuan_video15, stable_diffusion3, wan"):
        base_named("flux")
    with pytest.raises(CheckpointError, match="Flux.* and a HunyuanVideo transformer is a HunyuanVideoTransformer3D"):
        base_named("hunyuan_video").load().open_base(hunyuan)
    for text, why in (("{", "is no JSON"), ("[1]", "is no configuration, but a JSON list")):
        (hunyuan / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=why):
            base_at(hunyuan)


def test_a_configuration_with_unknown_keys_and_models_that_take_more_are_refused_by_name(hunyuan, tmp_path):
    kind = base_named("hunyuan_video").load()
    with pytest.raises(
        CheckpointError, match="keys that diffusers' HunyuanVideoTransformer3DModel does not take: wide"
    ):
        kind.open_base(changed(hunyuan, wide=3))
    SMALL["wan2.1"].save(tmp_path / "wan")
    with pytest.raises(CheckpointError, match="keys that diffusers' WanTransformer3DModel does not take: wide"):
        base_named("wan").load().open_base(changed(tmp_path / "wan", wide=3))
    SMALL["wan2.1"].save(tmp_path / "early")
    base_named("wan").load().open_base(changed(tmp_path / "early", window_size=[-1, -1], add_img_emb=False))
    SMALL["hunyuan_video"].save(tmp_path / "i2v")
    with pytest.raises(CheckpointError, match="image-to-video model .image_condition_type 'token_replace'"):
        kind.open_base(changed(tmp_path / "i2v", image_condition_type="token_replace"))
    SMALL["hunyuan_video15"].save(tmp_path / "jumping")
    with pytest.raises(CheckpointError, match="use_meanflow"):
        base_named("hunyuan_video15").load().open_base(changed(tmp_path / "jumping", use_meanflow=True))


def test_a_missing_key_is_named_before_anything_is_read(hunyuan):
    kind = base_named("hunyuan_video").load()
    with pytest.raises(
        CheckpointError, match=r"no whole HunyuanVideo transformer: .*missing: .*single_transformer_blocks\.2"
    ):
        kind.inspect_base(changed(hunyuan, num_single_layers=3), **NEW)


@pytest.mark.parametrize("name", list(SMALL))
def test_text_of_another_width_is_refused_with_both(name):
    one = SMALL[name]
    model = base_named(one.architecture).load()(**one.sizes, **NEW)
    latents, timestep, text = one.inputs()
    with pytest.raises(InputError, match=rf"text has 7 numbers a row, and {type(model).__name__} takes {one.rows[1]}"):
        model(latents, timestep, text[..., :7])


def test_an_image_model_takes_no_video_and_no_past():
    one = SMALL["stable_diffusion3"]
    model = base_named(one.architecture).load()(**one.sizes, **NEW)
    latents, timestep, text = one.inputs()
    with pytest.raises(InputError, match="is an image model: it takes 1 latent frame, got 3"):
        model(latents.expand(-1, -1, 3, -1, -1), timestep, text)
    with pytest.raises(InputError, match="no frames before it: leave motion out"):
        model(latents, timestep, text, motion=latents)
    with pytest.raises(InputError, match="does not split a sequence over ranks"):
        model.enable_parallelism(config=None)


@torch.no_grad()
def test_wan_takes_a_time_for_each_token_as_wan22s_bare_model_does(tmp_path):
    one = SMALL["wan2.2-ti2v"]
    bare = one.save(tmp_path / "transformer")
    model = base_named("wan").load().from_base(tmp_path / "transformer", **NEW).eval()
    latents, _, text = one.inputs()
    times = torch.full((2, 12), 700.0)
    times[:, :4] = 0  # the first latent frame is given
    expected = bare(latents, times, text).sample
    assert torch.equal(model(latents, times, text).sample, expected)
    assert not torch.equal(model(latents, times[:, -1], text).sample, expected)
    shown = model(latents, times, text, reference=one.conditions()["reference"]).sample
    assert shown.shape == expected.shape and not torch.equal(shown, expected)


SEAWEED = [
    "transformer.num_layers=1", "transformer.num_single_layers=2", "transformer.num_attention_heads=2", "transformer.attention_head_dim=16",
    "transformer.ffn_dim=128", "transformer.text_dim=12", "transformer.audio_dim=8", "transformer.audio_layers=2", "encoders.audio_states=[0, 2]",
]  # fmt: skip


def test_the_seaweed_like_profile_cut_down_learns_and_its_heads_read_where_apt_says():
    profile = load_profile("seaweed-8b")
    assert base_of(profile).architecture == "hunyuan_video"
    layers = profile.transformer.num_layers + profile.transformer.num_single_layers
    assert layers == 36 and head_blocks(layers) == (16, 26, 36)
    model = build_transformer(load_profile("seaweed-8b", SEAWEED), None, 0)
    torch.manual_seed(1)
    latents, text, velocity = torch.randn(1, 16, 3, 4, 4), torch.randn(1, 5, 12), torch.randn(1, 16, 3, 4, 4)
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=3e-3), []
    for _ in range(8):
        loss = (
            (model(latents, torch.tensor([500.0]), text, reference=latents[:, :, :1]).sample - velocity).square().mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_a_parent_of_another_architecture_is_refused_with_both(tmp_path):
    profile = load_profile("seaweed-8b", SEAWEED)
    build_transformer(profile, None, 0).save_pretrained(tmp_path / "transformer")
    other = profile.model_copy(update={"transformer": profile.transformer.model_copy(update={"architecture": None})})
    with pytest.raises(TrainingError, match="is a OmniHumanHunyuanVideo.* asks for a OmniHumanTransformer3DModel"):
        build_transformer(other, str(tmp_path), 0)
