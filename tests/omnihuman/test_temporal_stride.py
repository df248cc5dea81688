"""Latents of two frames: what was written for four asks the autoencoder, from the profile to a stream."""

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from curation.features.encoders import load_encoders
from curation.features.training_samples import CutSample
from evaluation.questions.streaming_student import latent_changes
from omnihuman.autoencoder import LatentGrid, decode_video, encode_video, load_autoencoder
from omnihuman.errors import InputError
from omnihuman.latents import fold_frames_into_latents
from omnihuman.long_video import LongVideo, generate_segments
from omnihuman.pipeline import build_pipeline
from omnihuman.streaming.conditions import audio_of_latents, frames_around, pose_of_latents
from omnihuman.streaming.settings import Streaming
from omnihuman.streaming.stream import TalkingStream, stream_video
from profiles import ProfileError, load_profile, resolve_source
from training.errors import TrainingError
from training.plan.passes import largest_bucket
from training.plan.stand_ins import fake_batch
from training.recipes.shorter_cells import shortened
from training.stages.model import build_transformer, own_configuration

SIZES = ["transformer.num_layers=1", "transformer.num_attention_heads=2", "transformer.ffn_dim=64"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("autoencoder")
    torch.manual_seed(0)
    AutoencoderKLWan(
        base_dim=8, dim_mult=[1, 1, 1], num_res_blocks=1, z_dim=16, temperal_downsample=[False, True], patch_size=2, in_channels=12,
        out_channels=12, is_residual=True, scale_factor_temporal=2, scale_factor_spatial=8,
    ).save_pretrained(folder)  # fmt: skip
    return load_profile("laptop", [f"encoders.autoencoder={folder}", "video.temporal_stride=2", *SIZES])


@pytest.fixture(scope="module")
def model(profile):
    model = build_transformer(profile, None, 0).eval().requires_grad_(False)
    torch.manual_seed(1)
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


@pytest.fixture(scope="module")
def pipeline(profile, model):
    return build_pipeline(profile, model, 1)


def test_the_profile_counts_latents_and_says_the_stride_only_where_it_is_another(profile):
    assert (profile.video.latent_frames, profile.video.motion_latents) == (9, 3)
    assert profile.video.main.temporal_stride == 2 and profile.model_dump()["video"]["temporal_stride"] == 2
    laptop = load_profile("laptop", [])
    assert (laptop.video.latent_frames, laptop.video.motion_latents) == (5, 2)
    assert "temporal_stride" not in laptop.model_dump()["video"], "what was made with four stays current"
    assert "mouth_weight" not in laptop.model_dump()["stage_1"], "and what was trained with all cells alike"
    weighed = load_profile("laptop", ["stage_1.mouth_weight=3"])
    assert weighed.model_dump()["stage_1"]["mouth_weight"] == 3.0
    with pytest.raises(ProfileError, match="temporal_stride"):
        load_profile("laptop", ["video.temporal_stride=3"])


def test_changes_between_latents_of_two_frames_are_told_from_those_within():
    frames = np.zeros((1, 5, 2, 2, 3), np.uint8)
    frames[:, 1:3], frames[:, 3:] = 51, 102
    assert latent_changes(frames, 2) == pytest.approx((0.2, 0.0))
    assert latent_changes(frames, 4) == pytest.approx((0.2, 0.2 / 3))


def test_two_frames_fill_a_latent():
    assert fold_frames_into_latents(torch.arange(5), 0, 2).tolist() == [[0, 0], [1, 2], [3, 4]]
    assert frames_around(1, 1, 2, 2) == [0, 0, 1, 2, 3, 4]


def test_the_autoencoder_is_asked_and_a_profile_that_says_four_is_told(profile, pipeline):
    grid = LatentGrid.of(pipeline.vae)
    latents = encode_video(pipeline.vae, torch.rand(1, 3, 17, 64, 64, generator=generator()))
    assert latents.shape[1:] == grid.shape(17, 64, 64) == (16, 9, 8, 8)
    assert decode_video(pipeline.vae, latents).shape == (1, 3, 17, 64, 64) and grid.frames(9) == 17
    four = load_profile("laptop", [f"encoders.autoencoder={profile.encoders.autoencoder}", *SIZES])
    with pytest.raises(InputError, match=r"8 pixels and 2 frames.*video\.temporal_stride=2"):
        load_encoders(four)


def test_features_have_the_shapes_that_plans_and_training_expect(profile):
    import numpy as np

    encoders = load_encoders(profile)
    cut = CutSample.__new__(CutSample)
    for name, value in {
        "frames": np.zeros((17, 64, 64, 3), np.uint8), "reference": np.zeros((64, 64, 3), np.uint8), "motion": np.zeros((5, 64, 64, 3), np.uint8),
    }.items():  # fmt: skip
        object.__setattr__(cut, name, value)
    made, rows = encoders.encode("latents", [cut], profile.video), encoders.row_shapes(profile.video)
    assert rows["latents"] == made["latents"].shape[1:] == (16, 9, 8, 8)
    assert rows["motion_latents"] == made["motion_latents"].shape[1:] == (16, 3, 8, 8)
    planned = fake_batch(profile, largest_bucket(profile), 1, profile.stage_3.ratios, torch.float32)
    assert planned.latents.shape[1:] == rows["latents"] and planned.motion.shape[1:] == rows["motion_latents"]


def test_sound_and_pose_reach_latents_of_two_frames(model):
    latents, text = torch.randn(1, 16, 9, 8, 8, generator=generator()), torch.randn(1, 4, 384, generator=generator(1))
    sound = torch.randn(1, 17, 4, 64, generator=generator(2))
    assert model.audio_projection(sound).shape == (1, 9, 2, 64)
    poses = torch.rand(1, 4, 17, 32, 32, generator=generator(3))
    plain = model(latents, torch.full((1,), 500.0), text, sound, poses, return_dict=False)[0]
    other = sound.clone()
    other[:, 5:7] = 0  # latent 3's frames; its neighbour hears one of them through its window
    moved = model.audio_projection(sound) - model.audio_projection(other)
    assert [bool(one.any()) for one in moved[0]] == [False, False, True, True, True, False, False, False, False]
    assert plain.shape == latents.shape and plain.isfinite().all()
    with pytest.raises(InputError, match="9 latents are 17 frames"):
        model(latents, torch.full((1,), 500.0), text, torch.randn(1, 33, 4, 64))


def test_a_window_a_long_video_and_a_pose_are_made(pipeline):
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=generator())
    sound = 0.1 * torch.randn(1, 40_000, generator=generator(4))
    window = pipeline("A person talks.", image=image, audio=sound[:, :17_000], num_frames=17, generator=generator(5))
    assert window.frames.shape == (1, 17, 64, 64, 3)
    video = LongVideo(["A person talks."], image, sound, {"pose": 60 * torch.rand(1, 40, 133, 3)}, 40, 17, [5], 64, 64)
    parts = list(generate_segments(pipeline, video))
    assert sum(part.frames.shape[1] for part in parts) == 40
    assert parts[0].handover.motion.shape[2] == 3, "five frames are three latents"


def test_a_stream_hears_and_poses_as_a_whole_clip_does(pipeline, model):
    sound, poses = (
        torch.randn(1, 17, 4, 64, generator=generator(6)),
        torch.rand(1, 4, 17, 32, 32, generator=generator(7)),
    )
    whole = model.audio_projection(sound)
    assert (audio_of_latents(model.audio_projection, sound, 0, 9, 1) - whole).abs().max() < 1e-5
    guided = model.pose_guider(poses)
    for latent in (0, 4, 8):
        rows = frames_around(latent, 1, 8, 2)
        alone = pose_of_latents(model.pose_guider, poses[:, :, rows])
        assert (alone - guided[:, :, latent : latent + 1]).abs().max() < 1e-5
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=generator())
    stream = TalkingStream(
        pipeline, image, ["A person talks."], generator(8), 64, 64, streaming=Streaming(3, 2), tracks={"pose": 60 * torch.rand(1, 9, 133, 3)}
    )  # fmt: skip
    voice = 0.1 * torch.randn(1, 16_000, generator=generator(9))
    made = [stream.decode(latent).shape[1] for latent in stream_video(stream, voice, 9)]
    assert made == [1, 2, 2, 2, 2] and stream.frames == 9


def test_another_base_than_wan_is_refused(profile):
    other = load_profile("laptop", ["transformer.architecture=hunyuan_video", "video.temporal_stride=2"])
    with pytest.raises(TrainingError, match="made for latents of four frames"):
        own_configuration(other)


def test_shorter_cells_keep_what_is_seen_and_begin_to_hear_anew():
    long = build_transformer(load_profile("laptop", SIZES), None, 3)
    torch.nn.init.normal_(long.blocks[0].audio_attn.to_out.weight)
    torch.nn.init.normal_(long.pose_patch_embedding.weight, std=0.1)
    short = shortened(long, 2)
    assert short.temporal_stride == 2 and not short.blocks[0].audio_attn.to_out.weight.any()
    assert torch.equal(short.blocks[0].attn1.to_q.weight, long.blocks[0].attn1.to_q.weight)
    still = torch.rand(1, 4, 1, 32, 32, generator=generator(9))
    guided = [model.pose_guider(still.repeat(1, 1, frames, 1, 1)) for model, frames in ((long, 9), (short, 5))]
    assert (guided[0] - guided[1]).abs().max() < 1e-5, "a pose that stands still guides as before"
    with pytest.raises(InputError, match="do not divide"):
        shortened(short, 2)


def test_the_autoencoder_for_the_next_base_of_people_has_cells_of_two_frames():
    autoencoder = load_autoencoder(resolve_source("profile:people/autoencoder_pairs"))
    assert LatentGrid.of(autoencoder) == LatentGrid(48, 16, 2)
    assert encode_video(autoencoder, torch.zeros(1, 3, 17, 64, 64)).shape == (1, 48, 9, 4, 4)
