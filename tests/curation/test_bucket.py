"""A clip becomes the same frames whoever asks: scores, features, frozen sets and generation."""

import numpy as np
import pytest

from curation.bucket import into_bucket, likely_bucket, load_bucket_clip, to_bucket, used_seconds
from curation.scores.clip_media import Bench, Material, evenly
from media import decode_clip, encode_clip
from profiles import load_profile

WIDE_IS_LONG = "video.buckets=[{height: 64, width: 64, frames: 17}, {height: 32, width: 64, frames: 41}]"


def moving_picture(frames: int, height: int, width: int) -> bytes:
    """A gradient that moves one pixel a frame, with sound."""
    x = np.arange(width)[None, None, :] + np.arange(frames)[:, None, None]
    y = np.broadcast_to(np.arange(height)[None, :, None], (frames, height, width))
    rgb = np.stack([4 * x % 256 + 0 * y, 3 * y, 128 + 0 * x + 0 * y], axis=-1).astype(np.uint8)
    sound = np.sin(np.arange(frames * 1000) / 20).astype(np.float32)
    return encode_clip(rgb, 16.0, sound, 16_000)


@pytest.mark.parametrize(
    ("frames", "height", "width", "shape"),
    [
        (20, 64, 64, (64, 64)),  # as it is
        (20, 96, 128, (64, 64)),  # cropped and averaged
        (20, 48, 40, (64, 64)),  # enlarged
        (48, 64, 144, (32, 64)),  # wide, and long enough for it
        (20, 64, 144, (64, 64)),  # wide, but too short for the wide bucket: decoded twice
    ],
)
def test_scores_and_features_see_the_same_frames_and_sound(frames, height, width, shape):
    video = load_profile("laptop", [WIDE_IS_LONG]).video
    data = moving_picture(frames, height, width)
    record = {"width": width, "height": height, "fps": 16.0, "frames": frames, "seconds": frames / 16.0}
    material = Material(Bench(video, None, (), 4), record, lambda: data)
    features = load_bucket_clip(data, width, height, video)
    assert features.frames.shape == (frames, *shape, 3)
    assert np.array_equal(material.frames, features.frames)
    assert np.array_equal(material.audio, features.audio)
    source = decode_clip(data, 16.0).frames
    assert np.array_equal(material.native, source[evenly(frames, 4)]), "kept at their own size, once, in order"


def test_frozen_sets_and_generation_bring_a_frame_to_the_same_pixels():
    video = load_profile("laptop", [WIDE_IS_LONG]).video
    data = moving_picture(20, 96, 128)
    features = load_bucket_clip(data, 128, 96, video).frames
    assert np.array_equal(decode_clip(data, 16.0, transform=into_bucket(video.main)).frames, features)
    picture = decode_clip(data, 16.0).frames[7]
    assert np.array_equal(into_bucket(video.main)(picture), features[7])
    assert np.array_equal(to_bucket(picture[None], video.main)[0], features[7])


@pytest.mark.parametrize(("height", "width"), [(96, 128), (288, 384)])
def test_a_clip_is_used_as_far_as_memory_holds_it_in_its_bucket_whatever_its_own_size(monkeypatch, height, width):
    video = load_profile("laptop").video
    monkeypatch.setattr("curation.bucket.HELD_BYTES", int(64 * 64 * 3 * 39.5))
    assert len(load_bucket_clip(moving_picture(48, height, width), width, height, video).frames) == 40


def test_half_a_minute_of_1080p_is_used_whole_at_wans_size():
    video = load_profile("wan2.1-1.3b").video
    assert used_seconds(likely_bucket(1920, 1080, video), video) > 24
