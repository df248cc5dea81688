"""Which features are kept and which are encoded: after a changed caption or encoder, after a kill, and in tiles."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import AutoencoderKL

from curation.bucket import TILE, is_tiled
from curation.features import bucket_features, feature_cache, text_features
from curation.features import shard_features as features
from curation.features.encoders import ConditionEncoders
from curation.features.feature_cache import FeatureCache, Piece, PieceKeeper
from curation.features.training_samples import part_keys
from curation.features.windows import choose_windows
from omnihuman.autoencoder import encode_video, load_autoencoder, to_pixels
from omnihuman.conditions.text import TextEncoder
from omnihuman.digests import weights_digest
from profiles.schema import Bucket
from tests.curation.shard_workspace import stored
from tests.omnihuman import text_encoders
from tests.omnihuman.test_pipelines_of_bases import AUTOENCODERS


@pytest.fixture
def encoded(workspace, put_puppet, monkeypatch):
    """A shard of two clips with features, and what is asked of clips and encoders from then on."""
    for seed in range(2):
        put_puppet(f"{seed}.mp4", seed=seed)
    name, asked = workspace.ingest(), []
    workspace.first = workspace.features(name)
    encode, captions, cut = ConditionEncoders.encode, ConditionEncoders.encode_captions, bucket_features.cut_samples
    monkeypatch.setattr(
        ConditionEncoders, "encode", lambda self, part, *rest: asked.append(part) or encode(self, part, *rest)
    )
    monkeypatch.setattr(
        ConditionEncoders, "encode_captions", lambda self, texts: asked.append("text") or captions(self, texts)
    )
    monkeypatch.setattr(bucket_features, "cut_samples", lambda *work: asked.append("clip") or cut(*work))
    return workspace, name, asked


def test_unchanged_features_are_reused_and_of_a_changed_caption_the_text_alone_is_encoded(encoded):
    workspace, name, asked = encoded
    again = workspace.features(name)
    assert (again.reused, again.encoded, again.features_sha256) == (2, 0, workspace.first.features_sha256)
    clips = workspace.root / "raw" / name / "clips.parquet"
    table = pd.read_parquet(clips)
    table.loc[0, "caption"] = "Somebody else."
    table.to_parquet(clips)
    workspace.score(name)
    before = stored(workspace.root / "features" / name)
    changed = workspace.features(name)
    after = stored(workspace.root / "features" / name)
    assert (changed.reused, changed.encoded, changed.computed) == (1, 1, {"latents": 0, "audio": 0, "text": 1})
    assert asked == ["text"], "no clip is decoded"
    assert (before["text"][1] == after["text"][1]).all() and (before["text"][0] != after["text"][0]).any()
    assert all((before[other] == after[other]).all() for other in before if other != "text")
    table.loc[0, "caption"] = " Somebody&amp;nbsp;else.\n"
    table.to_parquet(clips)
    workspace.score(name)
    assert workspace.features(name).reused == 2, "the same words in other HTML"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"text": "0" * 64}, {"latents": 0, "audio": 0, "text": 2}),
        ({"text_tokens": 31}, {"latents": 0, "audio": 0, "text": 2}),
        ({"text_2": "0" * 64}, {"latents": 0, "audio": 0, "text": 2}),
        ({"audio": "0" * 64}, {"latents": 0, "audio": 2, "text": 0}),
        ({"autoencoder": "0" * 64}, {"latents": 2, "audio": 0, "text": 0}),
        ({"transform": "another"}, {"latents": 2, "audio": 2, "text": 0}),
        ({"row": "another"}, {"latents": 2, "audio": 2, "text": 2}),
        ({"keypoints": "another"}, {"latents": 0, "audio": 0, "text": 0}),
    ],
)
def test_a_changed_encoder_computes_what_depends_on_it_and_nothing_else(changed, expected, encoded, monkeypatch):
    workspace, name, asked = encoded
    identity = features.encoder_identity
    monkeypatch.setattr(features, "encoder_identity", lambda *of: identity(*of) | changed)
    before = stored(workspace.root / "features" / name)
    report = workspace.features(name)
    assert report.computed == expected and report.encoded == max(expected.values())
    assert set(asked) == {part for part, count in expected.items() if count} | (
        {"clip"} if expected["latents"] or expected["audio"] else set()
    )
    after = stored(workspace.root / "features" / name)
    assert all((before[tensor] == after[tensor]).all() for tensor in before), "these encoders only claim to be others"
    assert json.loads((workspace.root / "features" / name / "encoders.json").read_text()).items() >= changed.items()


def test_of_sound_the_states_that_are_asked_for_are_kept_and_taken_from_what_stands(encoded):
    workspace, name, asked = encoded
    whole, folder = stored(workspace.root / "features" / name), workspace.root / "features" / name
    count = whole["audio"].shape[2]

    def keep(*states: int):
        own = workspace.profile.encoders.model_copy(update={"audio_states": states or None})
        workspace.profile = workspace.profile.model_copy(update={"encoders": own})
        workspace.encoders = dataclasses.replace(workspace.encoders, profile=workspace.profile)
        return workspace.features(name)

    first = keep(0, count - 1)
    fewer = stored(folder)
    assert asked == [] and first.bytes < workspace.first.bytes
    assert np.array_equal(fewer["audio"], whole["audio"][:, :, [0, count - 1]])
    assert all(np.array_equal(fewer[tensor], whole[tensor]) for tensor in whole if tensor != "audio")
    assert keep(count - 1).computed["audio"] == 0 and not asked, "among those that are kept"
    assert np.array_equal(stored(folder)["audio"], whole["audio"][:, :, [count - 1]])
    assert keep(0, count - 1).computed == {"latents": 0, "audio": 2, "text": 0}, "one is gone"
    assert np.array_equal(stored(folder)["audio"], fewer["audio"]), "encoded as what was picked"
    shutil.rmtree(folder)
    assert keep().computed["audio"] == 2 and np.array_equal(stored(folder)["audio"], whole["audio"])


def test_of_a_base_with_several_text_encoders_features_have_the_rows_of_all(workspace, put_puppet, tmp_path):
    places = text_encoders.save("hunyuan_video15", tmp_path / "weights")
    own = {"text": places[0], "text_2": places[1], "text_tokens": 8}
    own = workspace.profile.encoders.model_copy(update=own)
    workspace.profile = workspace.profile.model_copy(update={"encoders": own})
    texts = TextEncoder(own.texts, own.text_tokens, text_encoders.WIDTH)
    workspace.encoders = dataclasses.replace(workspace.encoders, text=texts, profile=workspace.profile)
    sidecar = put_puppet("0.mp4").with_name("0.mp4.json")
    caption = 'A sign says "here".'
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | {"caption": caption}))
    name = workspace.ingest()
    assert workspace.features(name).computed["text"] == 1
    rows, (expected, nothing) = stored(workspace.root / "features" / name), texts.encode([caption, ""]).numpy()
    assert expected[8:].any() and not nothing[8:].any()
    assert np.array_equal(rows["text"][0], expected.astype(np.float16))
    assert np.array_equal(rows["null_text"], nothing.astype(np.float16))
    made_with = json.loads((workspace.root / "features" / name / "encoders.json").read_text())
    assert made_with["text_2"] == weights_digest(places[1])


def test_of_a_base_of_pictures_features_are_pictures(workspace, put_puppet, tmp_path):
    AutoencoderKL(**AUTOENCODERS["stable_diffusion3"][1]).save_pretrained(tmp_path / "vae")
    autoencoder = load_autoencoder(tmp_path / "vae", torch.float32)
    video = workspace.profile.video.model_copy(update={"frames": 1})
    workspace.profile = workspace.profile.model_copy(update={"video": video})
    workspace.encoders = dataclasses.replace(workspace.encoders, autoencoder=autoencoder, profile=workspace.profile)
    put_puppet("0.mp4")
    name = workspace.ingest()
    assert workspace.features(name).computed["latents"] > 0
    rows = stored(workspace.root / "features" / name, video.name_of(video.main))
    assert rows["latents"].shape[1:] == (16, 1, 8, 8) and rows["motion_latents"].shape[1:] == (16, 2, 8, 8)
    clip = pd.read_parquet(workspace.root / "raw" / name / "clips.parquet").loc[0, "clip_id"]
    starts = pd.read_parquet(workspace.root / "features" / name / "samples.parquet")["window_start"]
    frames = torch.from_numpy(workspace.decoded(name, clip)[list(starts)][:, None])
    np.testing.assert_allclose(rows["latents"], encode_video(autoencoder, to_pixels(frames)).numpy(), atol=2e-3)


def test_a_table_from_before_there_were_parts_is_reused_whole(encoded):
    workspace, name, asked = encoded
    folder = workspace.root / "features" / name
    old = pd.read_parquet(folder / "samples.parquet").drop(columns=["latents_key", "audio_key", "text_key"])
    old.to_parquet(folder / "samples.parquet")
    (folder / "quarantine.parquet").unlink()
    report = workspace.features(name)
    assert (report.reused, report.encoded, asked) == (
        2,
        0,
        [],
    ) and report.features_sha256 == workspace.first.features_sha256


def test_a_killed_build_goes_on_from_what_it_had_encoded(workspace, put_puppet, monkeypatch):
    for seed in range(3):
        put_puppet(f"{seed}.mp4", seed=seed)
    name, pieces = workspace.ingest(), workspace.root / "pieces"
    whole = workspace.features(name)
    shutil.rmtree(workspace.root / "features")
    small = workspace.encoders.profile.curation.model_copy(update={"encoding_gib": 1e-6})
    one_by_one = workspace.encoders.profile.model_copy(update={"curation": small})
    monkeypatch.setattr(workspace, "encoders", dataclasses.replace(workspace.encoders, profile=one_by_one))
    monkeypatch.setattr(text_features, "BATCH", 1)
    monkeypatch.setattr(feature_cache, "PIECE_SECONDS", 0.0)
    encode, calls = ConditionEncoders.encode, []

    def killed(self, part, *rest):
        calls.append(part)
        if len(calls) == 4:  # the sound of the second of three samples
            raise KeyboardInterrupt
        return encode(self, part, *rest)

    monkeypatch.setattr(ConditionEncoders, "encode", killed)
    with pytest.raises(KeyboardInterrupt):
        workspace.features(name, pieces)
    assert not (workspace.root / "features" / name).exists() and len(list(pieces.iterdir())) == 3 + 3
    sorted(pieces.iterdir())[0].write_bytes(
        b"half"
    )  # the first one's latents; texts come after, and are encoded before
    kept = FeatureCache.of(workspace.root / "features" / name, pieces, states=(1,)).stored["audio"].values()
    assert [source.read("audio", [row])["audio"].shape[2] for source, row in kept] == [1], "one state out of a piece"
    report = workspace.features(name, pieces)
    assert report.computed == {"latents": 1 + 1, "audio": 2, "text": 0} and not pieces.exists()
    again = stored(workspace.root / "features" / name)
    shutil.rmtree(workspace.root / "features")
    monkeypatch.undo()
    assert workspace.features(name).features_sha256 == whole.features_sha256
    once = stored(workspace.root / "features" / name)
    assert all(np.abs(again[tensor].astype(float) - once[tensor]).max() < 0.02 for tensor in once), (
        "batches of one round otherwise"
    )


def test_frames_larger_than_a_tile_are_encoded_in_tiles_and_say_so_in_their_key(tmp_path, laptop):
    """Wan2.1's own layout of the autoencoder (stride 4 x 8 x 8, no patches), with tiles of 96 pixels every 64."""
    from diffusers import AutoencoderKLWan

    torch.manual_seed(0)
    tiny = AutoencoderKLWan(
        base_dim=8, dim_mult=[1, 1, 1, 1], num_res_blocks=1, z_dim=16, temperal_downsample=[False, True, True]
    ).eval()
    pixels = torch.rand(1, 3, 5, 96, 160) * 2 - 1
    whole, small = encode_video(tiny, pixels), encode_video(tiny, pixels[..., :96])
    tiny.enable_tiling(96, 96, 64, 64)
    tiled = encode_video(tiny, pixels)
    assert torch.equal(encode_video(tiny, pixels[..., :96]), small), "up to a tile nothing changes"
    assert (
        tiled.shape == whole.shape
        and not torch.equal(tiled, whole)
        and torch.corrcoef(torch.stack([tiled.flatten(), whole.flatten()]))[0, 1] > 0.9
    )
    window = choose_windows("5" * 64, 25, laptop.video)[0]
    identity = {
        "autoencoder": "a",
        "audio": "b",
        "text": "c",
        "text_tokens": 1,
        "transform": "d",
        "dtype": "e",
        "row": "f",
        "bucket": "g",
    }
    plain, tiles = (part_keys("0", "A man.", window, made_with) for made_with in (identity, identity | {"tile": TILE}))
    assert plain["latents"] != tiles["latents"] and (plain["audio"], plain["text"]) == (tiles["audio"], tiles["text"])
    assert [is_tiled(Bucket(height=h, width=w, frames=5)) for h, w in ((480, 832), (832, 480), (720, 1280))] == [
        False,
        False,
        True,
    ]


def test_rows_that_lie_in_columns_come_back_from_a_piece(tmp_path, monkeypatch):
    """An encoder may return a transposed array, which safetensors 0.8.0 writes as it lies in memory."""
    monkeypatch.setattr(feature_cache, "PIECE_SECONDS", 0)
    rows = np.arange(24, dtype=np.float32).reshape(4, 3, 2).transpose(2, 1, 0)
    PieceKeeper(tmp_path, "text").add("text", ["a", "b"], {"text": rows})
    (file,) = tmp_path.iterdir()
    np.testing.assert_array_equal(Piece(file).read("text", [0, 1])["text"], rows)
