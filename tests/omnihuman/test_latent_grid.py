"""Channels and strides of latents come from the autoencoder's configuration."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan

from omnihuman.autoencoder import (
    LatentGrid,
    check_grid,
    decode_video,
    encode_video,
    load_autoencoder,
    profile_grid,
    to_frames,
    to_pixels,
    use_fast_layers,
)
from omnihuman.errors import InputError
from omnihuman.sampling import draw_noise
from people import render
from profiles import ProfileError, load_profile, resolve_source
from profiles.video import VideoConfig

WIDE = {
    "base_dim": 8, "dim_mult": [1, 1, 1], "num_res_blocks": 1, "z_dim": 6, "temperal_downsample": [True, True], "is_residual": True,
    "patch_size": 4, "in_channels": 48, "out_channels": 48, "latents_mean": [0.5] * 6, "latents_std": [2.0] * 6,
}  # fmt: skip


@pytest.fixture(scope="module")
def wide() -> AutoencoderKLWan:
    torch.manual_seed(0)
    return AutoencoderKLWan(**WIDE).eval()


def test_the_grid_is_what_the_autoencoder_makes_and_fast_layers_make_the_same(wide):
    pixels = torch.rand(1, 3, 9, 64, 96) * 2 - 1
    plain = encode_video(wide, pixels)
    shown = decode_video(wide, plain)
    fast = encode_video(use_fast_layers(wide), pixels)
    assert fast.shape[1:] == LatentGrid.of(wide).shape(9, 64, 96) == (6, 3, 4, 6)
    assert draw_noise(2, LatentGrid.of(wide).shape(9, 64, 96), None).shape == (2, 6, 3, 4, 6)
    torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(decode_video(wide, fast), shown, atol=1e-5, rtol=1e-4)
    assert shown.shape == pixels.shape and shown.std() > 0.01


def test_a_profile_that_says_otherwise_is_told_what_to_set(wide):
    check_grid(wide, LatentGrid(6, 16), "it")
    with pytest.raises(
        InputError, match=r"transformer\.latent_channels=6, video\.stride=16 and video\.temporal_stride=4"
    ):
        check_grid(wide, LatentGrid(), "it")


def test_a_stride_reaches_every_bucket_and_counts_tokens():
    video = VideoConfig(
        height=128, width=128, stride=16, buckets=[{"height": 128, "width": 128}, {"height": 64, "width": 96}]
    )
    assert [b.frame_tokens for b in video.all_buckets] == [16, 6]
    assert "stride" not in load_profile("laptop", []).video.model_dump(), "what was made at stride 8 stays current"
    with pytest.raises(ProfileError, match=r"divide by 32 \(stride 16, patch 2\), got 80x64"):
        load_profile("laptop", ["video.stride=16", "video.height=80"])


def test_the_autoencoder_of_people_is_small_and_holds_unseen_people_to_the_end_of_a_window():
    profile = load_profile("people", [])
    folder = Path(resolve_source(profile.encoders.autoencoder))
    told = json.loads((folder / "RECIPE.json").read_text())["held_out"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8 * 2**20
    model = load_autoencoder(folder)
    check_grid(model, profile_grid(profile), "profile people")
    frames = torch.from_numpy(
        render(told["seed"], frames=profile.video.frames, size=profile.video.height, split="held_out").frames
    )
    made = to_frames(decode_video(model, encode_video(model, to_pixels(frames[None]))))[0]
    error = (made.float() - frames.float()).square().mean(dim=(1, 2, 3))
    decibels = 10 * torch.log10(255.0**2 / error)
    assert decibels.mean() > told["psnr_whole_db"] - 4 and decibels[-1] > decibels[0] - 3
