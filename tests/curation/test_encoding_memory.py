"""How many windows are encoded at once follows from their size and a bound, and text is encoded in what is trained in."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from assets.plan.answering import _autoencoder, encoding
from curation.features import encoders
from curation.features.encoders import ConditionEncoders, load_encoders, window_bytes, windows_at_once
from profiles import load_profile
from profiles.schema import Bucket
from tests.curation.shard_workspace import stored
from training.plan.decoder_passes import autoencoder_configuration, fake_autoencoder
from training.plan.trace import without_bytes


def at_once(profile, bucket=None):
    with without_bytes():
        autoencoder = fake_autoencoder(autoencoder_configuration(profile))
        return windows_at_once(autoencoder, bucket or profile.video.main, profile.curation.encoding_gib)


def test_small_windows_are_encoded_as_ever_and_large_ones_as_many_as_fit():
    assert [at_once(load_profile(name)) for name in ("laptop", "people")] == [16, 16]
    assert at_once(load_profile("wan2.1-1.3b")) == 2
    assert at_once(load_profile("wan2.1-1.3b", ["curation.encoding_gib=40"])) == 11
    assert at_once(load_profile("wan2.1-1.3b", ["curation.encoding_gib=0.1"])) == 1
    assert at_once(load_profile("wan2.1-1.3b"), Bucket(height=720, width=1280, frames=81)) == 1


@pytest.mark.parametrize(("name", "height"), [("wan2.1-1.3b", 480), ("laptop", 64)])
def test_what_a_window_is_said_to_hold_is_what_a_trace_counts(name, height):
    profile = load_profile(name)
    bucket = profile.video.main
    traced, _ = _autoencoder(profile, bucket, 1, encodes=True)
    with without_bytes():
        said = window_bytes(fake_autoencoder(autoencoder_configuration(profile)), bucket)
    assert bucket.height == height and said == pytest.approx(traced.peak, rel=0.05)


def test_windows_encoded_one_by_one_are_the_same_features(workspace, put_puppet, loaded_encoders, monkeypatch):
    for seed in range(3):
        put_puppet(f"{seed}.mp4", seed=seed)
    name, asked, encode = workspace.ingest(), [], ConditionEncoders.encode
    monkeypatch.setattr(
        ConditionEncoders,
        "encode",
        lambda self, part, batch, *rest: asked.append(len(batch)) or encode(self, part, batch, *rest),
    )
    workspace.features(name)
    together = stored(workspace.root / "features" / name)
    assert asked == [3, 3]
    asked.clear()
    shutil.rmtree(workspace.root / "features")
    small = loaded_encoders.profile.curation.model_copy(update={"encoding_gib": 1e-6})
    workspace.encoders = replace(
        loaded_encoders, profile=loaded_encoders.profile.model_copy(update={"curation": small})
    )
    workspace.features(name)
    alone = stored(workspace.root / "features" / name)
    assert asked == [1] * 6
    assert all(np.abs(alone[tensor].astype(float) - together[tensor]).max() < 0.02 for tensor in together)


def test_text_is_encoded_in_what_is_trained_in(tiny_encoders, loaded_encoders, monkeypatch):
    assert loaded_encoders.text.models[0].dtype == torch.float32
    monkeypatch.setattr(encoders, "trained_dtype", lambda profile, device: torch.bfloat16)
    low = load_encoders(tiny_encoders)
    assert low.text.models[0].dtype == torch.bfloat16 and low.audio.model.dtype == torch.float32
    rounded, exact = (one.encode_captions(["A man talks."])["text"] for one in (low, loaded_encoders))
    assert rounded.dtype == exact.dtype and not (rounded == exact).all()
    assert abs(rounded - exact).max() < 0.05 * abs(exact).max()


def test_the_plan_counts_encoders_that_lie_on_the_gpu_together():
    rows = encoding(load_profile("laptop"))
    assert [row.what for row in rows] == [
        "autoencoder, 16 windows",
        "text encoder, 16 captions",
        "audio encoder, 16 windows",
    ]
    weights = sum(row.weights for row in rows)
    assert all(row.peak == pytest.approx(weights + row.traced.peak) for row in rows)
    assert rows[1].shared == load_profile("laptop").video.windows_per_clip
