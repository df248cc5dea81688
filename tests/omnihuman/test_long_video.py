"""Long videos: the first segment is what a single clip is, later ones go on from motion frames and their own sound."""

import dataclasses
import gc
import weakref

import pytest
import torch

from omnihuman.audio import encode_audio
from omnihuman.autoencoder import encode_video, to_pixels
from omnihuman.long_video import LongVideo, _movement, generate_segments, segment_seed
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from training.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=3"])
GENERATOR = torch.Generator().manual_seed(0)
IMAGE = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=GENERATOR)
SOUND = torch.randn(1, 45_000, generator=GENERATOR) * 0.1
KEYPOINTS = torch.rand(1, 45, 133, 3, generator=GENERATOR) * 60
VIDEO = LongVideo(["A person talks."], IMAGE, SOUND, None, 45, 17, [7], 64, 64)


@pytest.fixture(scope="module")
def pipeline():
    return build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), 1)


@pytest.fixture(scope="module")
def segments(pipeline):
    return list(generate_segments(pipeline, VIDEO))


def test_segments_follow_one_another_and_the_last_is_cut(segments):
    assert [(s.index, s.start, s.frames.shape[1]) for s in segments] == [(0, 0, 17), (1, 17, 17), (2, 34, 11)]
    assert all(s.motion.shape == (1, 16, 2, 8, 8) and s.latents.shape == (1, 16, 5, 8, 8) for s in segments)


def test_the_first_segment_is_bit_for_bit_the_single_clip(pipeline, segments):
    clip = pipeline("A person talks.", reference=IMAGE, audio=SOUND, num_frames=17, generator=[torch.Generator().manual_seed(7)])
    assert torch.equal(segments[0].frames, clip.frames)


def test_motion_latents_are_the_last_five_frames_encoded_alone(pipeline, segments):
    again = encode_video(pipeline.vae, to_pixels(segments[0].frames[:, -5:]))
    # Not the same: the pictures were rounded to 8 bits here.
    assert (again - segments[0].motion).abs().mean() < 0.1 * segments[0].motion.abs().mean()


def test_a_segment_depends_on_the_motion_frames_and_not_when_made_alone(pipeline, segments):
    alone = list(generate_segments(pipeline, dataclasses.replace(VIDEO, joined=False)))
    assert torch.equal(alone[0].frames, segments[0].frames)
    assert not torch.equal(alone[1].latents, segments[1].latents)


def test_going_on_from_the_stored_motion_makes_the_same(pipeline, segments):
    rest = list(generate_segments(pipeline, VIDEO, 2, segments[1].motion))
    assert len(rest) == 1 and torch.equal(rest[0].latents, segments[2].latents)
    with pytest.raises(ValueError, match="motion latents of segment 1"):
        next(generate_segments(pipeline, VIDEO, 2))


def test_a_segment_hears_and_follows_its_own_stretch(pipeline):
    moved = _movement(pipeline, dataclasses.replace(VIDEO, keypoints=KEYPOINTS), 2)
    expected = encode_audio(pipeline.audio_encoder, SOUND[:, 34_000:51_000], 17, 16.0)
    torch.testing.assert_close(moved["audio"], expected)
    # 11 poses are left for 17 frames: the last one stays.
    rows = [*range(34, 45), *[44] * 6]
    torch.testing.assert_close(moved["pose"], pipeline.encode_movement(None, KEYPOINTS[:, rows], 17, 64, 64)["pose"])


def test_seeds_of_segments_are_their_own():
    assert segment_seed(5, 0) == 5
    seeds = {segment_seed(seed, index) for seed in range(20) for index in range(1, 20)}
    assert len(seeds) == 20 * 19 and all(0 <= s < 2**63 for s in seeds)


def test_shapes_that_cannot_be_joined_are_refused():
    with pytest.raises(ValueError, match="segments of 4n\\+1"):
        dataclasses.replace(VIDEO, segment_frames=16)
    with pytest.raises(ValueError, match="2 seeds for 1 prompts"):
        dataclasses.replace(VIDEO, seeds=[1, 2])


def test_nothing_of_an_earlier_segment_is_kept(pipeline):
    making = generate_segments(pipeline, VIDEO)
    first = next(making)
    kept = [weakref.ref(tensor) for tensor in (first.frames, first.latents)]
    del first
    second = next(making)
    gc.collect()
    assert second.index == 1 and [ref() for ref in kept] == [None, None]
