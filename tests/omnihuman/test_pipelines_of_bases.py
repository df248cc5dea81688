"""Every base generates by the own pipeline, with an autoencoder of its own family, saved and loaded again."""

import diffusers
import pytest
import torch

from omnihuman import OmniHumanPipeline
from omnihuman.autoencoder import LatentGrid, decode_video, enable_tiles, encode_video, load_autoencoder
from omnihuman.bases.registry import base_named
from omnihuman.errors import InputError
from omnihuman.pipeline import build_pipeline
from omnihuman.sampling import build_scheduler
from profiles import load_profile
from tests.omnihuman.small_bases import SMALL

# Cut in width and depth; strides and normalisation are the published ones.
AUTOENCODERS = {
    "wan2.2-ti2v": (
        "AutoencoderKLWan",
        {"base_dim": 8, "decoder_base_dim": 8, "z_dim": 48, "dim_mult": [1, 2, 2, 2], "num_res_blocks": 1, "is_residual": True, "in_channels": 12,
         "out_channels": 12, "patch_size": 2, "scale_factor_spatial": 16, "temperal_downsample": [False, True, True],
         "latents_mean": [0.1] * 48, "latents_std": [1.5] * 48},
    ),
    "hunyuan_video": ("AutoencoderKLHunyuanVideo", {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}),
    "hunyuan_video15": ("AutoencoderKLHunyuanVideo15", {"block_out_channels": (8, 8, 16, 16, 16), "layers_per_block": 1, "latent_channels": 8}),
    "stable_diffusion3": (
        "AutoencoderKL",
        {"block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "latent_channels": 16, "norm_num_groups": 4, "scaling_factor": 1.5305,
         "shift_factor": 0.0609, "use_quant_conv": False, "use_post_quant_conv": False, "down_block_types": ("DownEncoderBlock2D",) * 4,
         "up_block_types": ("UpDecoderBlock2D",) * 4},
    ),
}  # fmt: skip
GRIDS = {
    "wan2.2-ti2v": LatentGrid(48, 16),
    "hunyuan_video": LatentGrid(16, 8),
    "hunyuan_video15": LatentGrid(8, 16),
    "stable_diffusion3": LatentGrid(16, 8),
}
PROFILE = load_profile("laptop", [])


@pytest.fixture(scope="module", params=list(AUTOENCODERS))
def base(request, tmp_path_factory):
    kind, config = AUTOENCODERS[request.param]
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    getattr(diffusers, kind)(**config).save_pretrained(folder)
    return request.param, load_autoencoder(folder, torch.float32)


def frames_of(name):
    return 1 if SMALL[name].frames == 1 else 9


def test_the_grid_is_read_off_and_latents_are_normalised_as_the_bases_own_pipeline_does(base):
    name, autoencoder = base
    assert LatentGrid.of(autoencoder) == GRIDS[name]
    pixels = torch.rand(1, 3, frames_of(name), 64, 32) * 2 - 1
    latents = encode_video(autoencoder, pixels)
    assert latents.shape == (1, *GRIDS[name].shape(frames_of(name), 64, 32))
    assert decode_video(autoencoder, latents).shape == pixels.shape
    config, plain = autoencoder.config, pixels[:, :, 0] if name == "stable_diffusion3" else pixels
    mode = autoencoder.encode(plain).latent_dist.mode().reshape(latents.shape)
    expected = {
        "wan2.2-ti2v": lambda: (mode - 0.1) / 1.5,
        "stable_diffusion3": lambda: (mode - config.get("shift_factor", 0)) * 1.5305,
    }.get(name, lambda: mode * config.scaling_factor)()
    torch.testing.assert_close(latents, expected, rtol=1e-5, atol=1e-6)


def test_large_pictures_are_encoded_in_tiles_of_the_size_that_is_asked_for(base):
    name, autoencoder = base
    stride, pixels = GRIDS[name].stride, torch.rand(1, 3, 1, 128, 128) * 2 - 1
    whole, patch = encode_video(autoencoder, pixels), autoencoder.config.get("patch_size") or 1
    enable_tiles(autoencoder, *(size // patch for size in (96, 96, 64, 64)))
    tiled, small = encode_video(autoencoder, pixels), pixels[..., :96, :96]
    autoencoder.use_tiling = False
    assert tiled.shape == whole.shape and not torch.equal(tiled, whole)
    # Before the next tile begins it is what the tile alone gives.
    cells = 64 // stride
    torch.testing.assert_close(tiled[..., :cells, :cells], encode_video(autoencoder, small)[..., :cells, :cells])


def test_pictures_have_one_frame(base):
    name, autoencoder = base
    if name == "stable_diffusion3":
        with pytest.raises(InputError, match="takes pictures, and 9 frames are given"):
            encode_video(autoencoder, torch.zeros(1, 3, 9, 32, 32))


def test_the_own_pipeline_makes_a_clip_and_does_so_again_from_its_folder(base, tmp_path):
    name, autoencoder = base
    small, text = SMALL[name], PROFILE.transformer.text_dim
    kind = base_named(small.architecture).load()
    width = {"text_dim", "text_embed_dim", "joint_attention_dim"} & small.sizes.keys()
    own = {"audio_dim": PROFILE.transformer.audio_dim, "audio_layers": PROFILE.transformer.audio_layers}
    torch.manual_seed(1)
    model = kind(**{**small.sizes, **dict.fromkeys(width, text)}, **own, pose_keypoints=4, pose_channels=4).eval()
    donor = build_pipeline(PROFILE, _laptop_model(), 2)
    pipeline = OmniHumanPipeline(
        model, autoencoder, donor.text_encoder, donor.tokenizer, donor.audio_encoder, build_scheduler(PROFILE.evaluation.sampling),
        num_inference_steps=2, fps=16.0,
    )  # fmt: skip
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8)
    given = {"prompt": "A person talks.", "image": image, "num_frames": frames_of(name), "guidance_scale": 2.0}
    made = pipeline(**given, generator=torch.Generator().manual_seed(0)).frames
    assert made.shape == (1, frames_of(name), 64, 64, 3)
    pipeline.save_pretrained(tmp_path / "saved", safe_serialization=True)
    again = OmniHumanPipeline.from_pretrained(tmp_path / "saved")
    assert type(again.transformer) is kind
    assert torch.equal(made, again(**given, generator=torch.Generator().manual_seed(0)).frames)


def _laptop_model():
    return base_named("wan").load()(
        num_attention_heads=2, attention_head_dim=24, ffn_dim=64, num_layers=1, text_dim=PROFILE.transformer.text_dim,
        audio_dim=PROFILE.transformer.audio_dim, audio_layers=PROFILE.transformer.audio_layers, pose_keypoints=4, pose_channels=4,
    )  # fmt: skip
