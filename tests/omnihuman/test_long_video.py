"""Long videos: the first segment is what a single clip is, later ones go on from motion frames and their own sound."""

import dataclasses
import gc
import weakref

import pytest
import torch

from omnihuman.autoencoder import decode_video, encode_video, to_frames, to_pixels
from omnihuman.conditions.audio import encode_audio
from omnihuman.joint import dissolve
from omnihuman.long_video import (
    LongVideo,
    _movement,
    as_batch,
    generate_segments,
    segment_noise,
    segment_seed,
)
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=3"])
GENERATOR = torch.Generator().manual_seed(0)
IMAGE = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=GENERATOR)
SOUND = torch.randn(1, 45_000, generator=GENERATOR) * 0.1
KEYPOINTS = torch.rand(1, 45, 133, 3, generator=GENERATOR) * 60
VIDEO = LongVideo(["A person talks."], IMAGE, SOUND, {}, 45, 17, [7], 64, 64)


@pytest.fixture(scope="module")
def pipeline():
    return build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), 1)


@pytest.fixture(scope="module")
def segments(pipeline):
    return list(generate_segments(pipeline, VIDEO))


def test_segments_overlap_by_five_frames_and_the_last_is_cut(segments):
    # 0 to 16, 12 to 28, 24 to 40, 36 to 52: what lies in the overlap is settled with the later one.
    assert [(s.index, s.start, s.frames.shape[1]) for s in segments] == [
        (0, 0, 12),
        (1, 12, 12),
        (2, 24, 12),
        (3, 36, 9),
    ]
    assert all(s.latents.shape == (1, 16, 5, 8, 8) for s in segments)
    assert all(
        s.handover.motion.shape == (1, 16, 2, 8, 8) and s.handover.overlap.shape == (1, 3, 5, 64, 64) for s in segments
    )


def test_a_hard_cut_has_no_overlap(pipeline):
    cut = list(generate_segments(pipeline, dataclasses.replace(VIDEO, overlap=0)))
    assert [(s.index, s.start, s.frames.shape[1]) for s in cut] == [(0, 0, 17), (1, 17, 17), (2, 34, 11)]
    motion = encode_video(pipeline.vae, decode_video(pipeline.vae, cut[0].latents)[:, :, -5:])
    assert torch.equal(cut[0].handover.motion, motion)


@pytest.mark.parametrize("frames, segments", [(1, 1), (17, 1), (18, 2), (29, 2), (30, 3)])
def test_a_video_has_as_few_segments_as_cover_it(frames, segments):
    assert dataclasses.replace(VIDEO, frames=frames).segments == segments


def test_short_segments_are_joined_without_overlap():
    short = dataclasses.replace(VIDEO, segment_frames=9)
    assert short.shared == 0 and short.segments == 5
    assert (
        dataclasses.replace(VIDEO, segment_frames=13).shared == 5
        and dataclasses.replace(VIDEO, segment_frames=9, overlap=1).shared == 1
    )
    for frames, overlap in ((9, 5), (17, 4), (17, 9)):
        with pytest.raises(ValueError, match=f"got {overlap} in segments of {frames}"):
            dataclasses.replace(VIDEO, segment_frames=frames, overlap=overlap)


def test_both_segments_start_from_the_same_noise_where_they_overlap():
    first, second, third = (segment_noise(VIDEO, index) for index in range(3))
    assert torch.equal(first[:, :, 3:], second[:, :, :2]) and torch.equal(second[:, :, 3:], third[:, :, :2])
    assert not torch.equal(second[:, :, 2:4], first[:, :, 2:4])
    cut = [segment_noise(dataclasses.replace(VIDEO, overlap=0), index) for index in range(2)]
    assert (
        torch.equal(cut[0], first)
        and torch.equal(cut[1][:, :, 2:], second[:, :, 2:])
        and not torch.equal(cut[1], second)
    )


def test_the_overlap_is_the_old_segments_dissolved_into_the_new(pipeline, segments):
    old, new = (decode_video(pipeline.vae, s.latents) for s in segments[:2])
    assert torch.equal(segments[0].handover.overlap, old[:, :, 12:])
    assert torch.equal(segments[1].frames, to_frames(dissolve(old[:, :, 12:], new))[:, :12])


def test_the_first_segment_is_bit_for_bit_the_single_clip(pipeline, segments):
    clip = pipeline(
        "A person talks.", reference=IMAGE, audio=SOUND, num_frames=17, generator=[torch.Generator().manual_seed(7)]
    )
    assert torch.equal(
        segments[0].latents,
        pipeline(
            "A person talks.",
            reference=IMAGE,
            audio=SOUND,
            num_frames=17,
            output_type="latents",
            generator=[torch.Generator().manual_seed(7)],
        ).frames,
    )
    assert torch.equal(segments[0].frames, clip.frames[:, :12])
    only = list(generate_segments(pipeline, dataclasses.replace(VIDEO, frames=17)))
    assert len(only) == 1 and torch.equal(only[0].frames, clip.frames)


def test_motion_latents_are_the_five_frames_before_the_overlap_encoded_alone(pipeline, segments):
    motion = segments[0].handover.motion
    again = encode_video(pipeline.vae, to_pixels(segments[0].frames[:, 7:12]))
    # Not the same: the pictures were rounded to 8 bits here.
    assert (again - motion).abs().mean() < 0.1 * motion.abs().mean()


def test_a_segment_depends_on_the_motion_frames_and_not_when_made_alone(pipeline, segments):
    alone = list(generate_segments(pipeline, dataclasses.replace(VIDEO, joined=False)))
    assert [s.start for s in alone] == [0, 17, 34]
    assert torch.equal(alone[0].latents, segments[0].latents)
    assert not torch.equal(alone[1].latents, segments[1].latents)


def test_going_on_from_the_handover_makes_the_same(pipeline, segments):
    rest = list(generate_segments(pipeline, VIDEO, 3, segments[2].handover))
    assert len(rest) == 1 and torch.equal(rest[0].frames, segments[3].frames)
    with pytest.raises(ValueError, match="handover of segment 1"):
        next(generate_segments(pipeline, VIDEO, 2))


def test_a_segment_hears_and_follows_its_own_stretch(pipeline):
    person = pipeline.encode_person(VIDEO.prompts, VIDEO.reference)
    moved = _movement(pipeline, person, dataclasses.replace(VIDEO, tracks={"pose": KEYPOINTS[:, :35]}), 2)
    expected = encode_audio(pipeline.audio_encoder, SOUND[:, 24_000:41_000], 17, 16.0)
    torch.testing.assert_close(moved["audio"], expected)
    # 11 poses are left for 17 frames: the last one stays.
    rows = [*range(24, 35), *[34] * 6]
    shown = pipeline.encode_movement(person, None, {"pose": KEYPOINTS[:, rows]}, 17, 64, 64)
    torch.testing.assert_close(moved["pose"], shown["pose"])
    assert "audio" not in shown and torch.equal(shown.text, person.text)


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


def test_videos_of_other_lengths_are_one_batch():
    short = dataclasses.replace(
        VIDEO, audio=SOUND[:, :20_000], frames=20, prompts=["B"], seeds=[8], tracks={"pose": KEYPOINTS[:, :20]}
    )
    both = as_batch([short, dataclasses.replace(VIDEO, tracks={"pose": KEYPOINTS})])
    assert (both.prompts, both.seeds, both.frames) == (["B", "A person talks."], [8, 7], 45)
    assert (
        torch.equal(both.audio[1], SOUND[0])
        and torch.equal(both.audio[0, :20_000], SOUND[0, :20_000])
        and not both.audio[0, 20_000:].any()
    )
    assert torch.equal(
        both.tracks["pose"][0, 19:], KEYPOINTS[0, 19:20].expand(26, -1, -1)
    ) and both.reference.shape == (
        2,
        64,
        64,
        3,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"height": 32}, "the same height, got 64, 32"),
        ({"audio": None}, "have audio or none"),
        ({"tracks": {"pose": KEYPOINTS}}, "have pose or none"),
    ],
)
def test_videos_that_make_no_batch_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        as_batch([VIDEO, dataclasses.replace(VIDEO, **change)])
