"""Batches: which samples, in which order, with which draws, whoever asks and whenever."""

import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from omnihuman.conditions.pose import render_heatmaps
from profiles import load_profile
from profiles.schema import Ratios
from tests.training.synthetic import TINY, Rows, write_snapshot
from training.data.batch import Batch
from training.data.compatibility import check_conditions
from training.data.loader import SnapshotData, SnapshotError
from training.engine.throughput import batch_flops, batch_tokens
from training.stages.model import build_transformer

RATIOS = Ratios(text=0.9, reference=0.7, audio=0.5, pose=0.25)
SIZES = [
    "{height: 32, width: 32, frames: 9}",
    "{height: 32, width: 48, frames: 9}",
    "{height: 32, width: 32, frames: 5}",
]
THREE = f"video.buckets=[{', '.join(SIZES)}]"
WIDE, SHORT = Rows("s-1", 10, 32, 48, 9), Rows("s-1", 14, 32, 32, 5)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    write_snapshot(folder)
    return folder


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three buckets, the main one in two shards."""
    folder = tmp_path_factory.mktemp("three")
    write_snapshot(folder, [Rows("s-0", 24), Rows("s-1", 7), WIDE, SHORT])
    return folder


def open_data(root, overrides=(), batch_size=10, seed=3, ratios=RATIOS, subset="text", image_share=0.0) -> SnapshotData:
    profile = load_profile("laptop", [*TINY, *overrides])
    return SnapshotData(root / "snapshot", root / "features", profile, subset, seed, batch_size, ratios, image_share)


def tensors(batch: Batch) -> dict[str, torch.Tensor]:
    given = {f"conditions/{k}": v for k, v in batch.conditions().items()}
    return given | {k: v for k, v in vars(batch).items() if isinstance(v, torch.Tensor)}


def row_by_row(root, positions, seed=3, ratios=RATIOS) -> dict[str, torch.Tensor]:
    """The loader as it was first written, one sample and one slice at a time: one uniform draw decides every condition."""
    table = pd.read_parquet(root / "snapshot" / "samples.parquet").sort_values("sample_id").reset_index(drop=True)
    rows = []
    for position in positions:
        epoch, offset = divmod(position, len(table))
        entry = table.iloc[np.random.default_rng([seed, 1, epoch]).permutation(len(table))[offset]]
        rng = np.random.default_rng([seed, 2, position])
        u, uniform, noise_seed = rng.random(), rng.random(), int(rng.integers(2**62))
        audio = u < ratios.audio and entry["audio"]
        with safe_open(root / "features" / entry["shard"] / f"features-{entry['bucket']}.safetensors", "pt") as file:
            read = {
                name: file.get_slice(name)[int(entry["row"])].float()
                for name in ("latents", "audio", "text", "keypoints", "reference_latents")
            }
            null = file.get_tensor("null_text").float()
        generator = torch.Generator().manual_seed(noise_seed)
        rows.append(
            {
                "latents": read["latents"],
                "noise": torch.randn(read["latents"].shape, generator=generator),
                "uniform": torch.tensor(uniform, dtype=torch.float32),
                "text": read["text"] if u < ratios.text else null,
                "null_text": null,
                "audio": read["audio"],
                "reference": read["reference_latents"],
                "conditions/pose": render_heatmaps(read["keypoints"][None], (7, 8, 9, 10), 4, 4)[0],
                "audio_mask": torch.tensor(float(audio)),
                "reference_mask": torch.tensor(float(u < ratios.reference)),
                "pose_mask": torch.tensor(float(u < ratios.pose and audio and entry["pose"])),
            }
        )
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("number", [0, 1, 2, 7])
def test_batches_are_those_of_the_plain_loader_that_read_row_by_row(one, number):
    ratios = Ratios(text=0.9, reference=0.85, audio=0.8, pose=0.7)
    batch = open_data(one, ratios=ratios).batch(number)
    assert batch.pose_mask.any(), "the test is to compare heatmaps"
    found, expected = tensors(batch), row_by_row(one, range(10 * number, 10 * number + 10), ratios=ratios)
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("overrides", [[], [THREE, "video.batch_multiple=2"]])
def test_the_slices_of_two_ranks_are_together_the_batch_of_one(three, one, overrides):
    root = three if overrides else one
    data, other = open_data(root, overrides, image_share=0.3), open_data(root, overrides, image_share=0.3)
    for number in range(12):  # 24 samples in batches of 10: over several epochs' ends
        whole, halves = data.batch(number), [other.batch(number, rank, 2) for rank in range(2)]
        assert whole.clip_ids == halves[0].clip_ids + halves[1].clip_ids
        for name in (name for name, value in vars(whole).items() if isinstance(value, torch.Tensor)):
            assert torch.equal(getattr(whole, name), torch.cat([getattr(half, name) for half in halves])), name


def test_a_loader_opened_anew_goes_on_in_mid_epoch_where_another_stopped(three):
    overrides = [THREE]
    running = open_data(three, overrides, image_share=0.3)
    seen = [running.batch(number) for number in range(17)]
    for number in (16, 5):
        resumed = open_data(three, overrides, image_share=0.3)
        assert resumed.state(number) == running.state(number)
        assert resumed.batch(number).clip_ids == seen[number].clip_ids
        assert torch.equal(resumed.batch(number).noise, seen[number].noise)
    assert running.state(17)["samples_consumed"] == sum(len(batch.samples) for batch in seen)


def test_the_state_counts_epochs_and_samples(one):
    data = open_data(one)
    assert data.state(0) == {"seed": 3, "samples_consumed": 0, "epoch": 0}
    assert data.state(5) == {"seed": 3, "samples_consumed": 50, "epoch": 2}


def test_another_seed_gives_another_order_and_other_noise(one):
    first, second = open_data(one, seed=1).batch(0), open_data(one, seed=2).batch(0)
    assert first.clip_ids != second.clip_ids and not torch.equal(first.noise, second.noise)


def test_a_batch_that_does_not_divide_is_one_error_with_the_remedy(one):
    with pytest.raises(
        SnapshotError, match=r"10 samples.*4 ranks x 1.*batch_size a multiple of 4 and video.batch_multiple one of 4"
    ):
        open_data(one).batch(0, 0, 4)
    with pytest.raises(SnapshotError, match="2 ranks x 4"):
        open_data(one, ["engine.gradient_accumulation=4"]).batch(0, 0, 2)


def test_every_batch_is_of_one_bucket_within_the_token_budget(three):
    data = open_data(three, [THREE, "video.batch_multiple=2"], batch_size=8)
    sizes = {}
    for number in range(40):
        batch = data.batch(number)
        assert {sample.bucket for sample in batch.samples} == {batch.bucket}
        height, width, frames = (int(part) for part in batch.bucket.split("@")[0].split("x"))
        assert batch.latents.shape[2:] == (1 + frames // 4, height // 8, width // 8)
        assert batch.audio.shape[1] == batch.keypoints.shape[1] == frames
        sizes[batch.bucket] = len(batch.samples)
    # 4 tokens a latent frame, 3 latents and 3 packed ones: 24 x 8 = 192 tokens; wide 36, short 20, rounded down to pairs.
    assert sizes == {"32x32x9@16": 8, "32x48x9@16": 4, "32x32x5@16": 8}
    large = open_data(three, [THREE, "video.batch_multiple=16"], batch_size=8)
    assert {len(large.draws(n)) for n in range(40)} == {8, 16}, "at least one multiple"
    parts = open_data(three, [THREE, "video.batch_multiple=2", "engine.gradient_accumulation=3"], batch_size=12)
    assert all(len(parts.draws(n)) % 6 == 0 for n in range(40)), "a multiple for each accumulation step"


def test_every_sample_is_seen_once_an_epoch_in_every_bucket(three):
    data = open_data(three, [THREE], batch_size=7)
    seen: dict[str, list[str]] = {}
    for number in range(60):
        batch = data.batch(number)
        seen.setdefault(batch.bucket, []).extend(batch.clip_ids)
    assert {bucket: len(set(ids)) for bucket, ids in seen.items()} == {
        "32x32x9@16": 31,
        "32x48x9@16": 10,
        "32x32x5@16": 14,
    }
    for ids in seen.values():
        size = len(set(ids))
        epochs = [ids[start : start + size] for start in range(0, len(ids) - size + 1, size)]
        assert len(epochs) >= 3 and all(len(set(epoch)) == size for epoch in epochs)
        assert epochs[0] != epochs[1]


def test_image_batches_are_first_frames_and_train_the_weaker_conditions(three):
    ratios = Ratios(text=1.0, reference=1.0, audio=1.0, pose=1.0, motion=1.0)
    data = open_data(three, [THREE], ratios=ratios, image_share=0.25, batch_size=6)
    batches = [data.batch(number) for number in range(40)]
    images = [batch for batch in batches if batch.samples[0].image]
    assert len(images) == 10 and all(batch.latents.shape[2] == 1 for batch in images)
    assert len(images[0].samples) == 6 * 6 // 2, "6 samples of 3 + 3 latent frames are 18 of 1 + 1"
    assert {name for batch in images for name in batch.conditions()} == {
        "encoder_hidden_states",
        "reference",
        "reference_mask",
    }
    stored = load_file(three / "features" / "s-1" / f"features-{WIDE.bucket}.safetensors")["latents"]
    wide = next(batch for batch in images if batch.bucket == WIDE.bucket)
    assert torch.equal(wide.latents, stored[[s.row for s in wide.samples]][:, :, :1].float())


def test_images_do_not_change_what_videos_draw(one):
    plain, mixed = open_data(one), open_data(one, image_share=0.5)
    videos = [mixed.draws(n) for n in range(8) if not mixed.draws(n)[0].image]
    assert videos == [plain.draws(n) for n in range(4)]


def test_motion_is_shown_to_its_share_of_samples_that_have_a_past_and_changes_no_other_draw(one):
    without, always, half = (open_data(one, ratios=RATIOS.model_copy(update={"motion": m})) for m in (0.0, 1.0, 0.5))
    shown = []
    for number in range(100):
        for none, every, some in zip(without.draws(number), always.draws(number), half.draws(number), strict=True):
            assert (
                (none.on, none.uniform, none.noise_seed)
                == (every.on, every.uniform, every.noise_seed)
                == (some.on, some.uniform, some.noise_seed)
            )
            assert not none.motion and every.motion == every.motion_eligible and some.motion <= some.motion_eligible
        able = [some.motion for some in half.draws(number) if some.motion_eligible]
        assert len(set(able)) <= 1, "one draw a batch: one sample with motion lengthens the sequence of all"
        shown += able[:1]
    assert len(shown) > 90 and abs(sum(shown) / len(shown) - 0.5) < 3 * (0.25 / len(shown)) ** 0.5
    batch = always.batch(0)
    stored = load_file(one / "features" / "s-0" / f"features-{Rows().bucket}.safetensors")["motion_latents"]
    assert torch.equal(batch.conditions()["motion"], stored[[s.row for s in batch.samples]].float())
    assert batch.conditions()["motion_mask"].tolist() == [float(s.motion) for s in batch.samples]
    assert "motion" not in without.batch(0).conditions() and "motion" not in batch.as_images().conditions()


def test_moving_a_batch_keeps_latents_times_and_keypoints_exact_and_gives_heatmaps_of_its_dtype(one):
    batch = open_data(one, ratios=Ratios(text=1.0, reference=1.0, audio=1.0, pose=1.0)).batch(0)
    moved = batch.to(torch.device("cpu"), torch.bfloat16)
    for name in ("latents", "noise", "uniform", "keypoints"):
        assert torch.equal(getattr(moved, name), getattr(batch, name)), name
    assert moved.text.dtype == moved.audio.dtype == moved.reference.dtype == torch.bfloat16
    assert torch.equal(moved.conditions()["pose"], batch.conditions()["pose"].bfloat16())


def test_a_forward_pass_asks_a_device_for_no_number(one, monkeypatch):
    """A tensor on `meta` has none to give: an answer that is waited for would be an error here."""
    monkeypatch.setattr("omnihuman.precision.without_autocast", lambda device: nullcontext())  # which meta has not
    batch = open_data(one, ratios=Ratios(text=1.0, reference=1.0, audio=1.0, pose=1.0, motion=1.0)).batch(0)
    mixed = torch.ones_like(batch.motion_mask)
    mixed[0] = 0
    model = build_transformer(load_profile("laptop", list(TINY)), None, 0).to("meta")
    moved = replace(batch, motion_mask=mixed).to(torch.device("meta"), torch.float32)
    assert moved.motion_mask is mixed and moved.latents.is_meta
    made = model(moved.latents, torch.full((len(mixed),), 500.0, device="meta"), **moved.conditions()).sample
    assert made.shape == batch.latents.shape


def test_counting_tokens_draws_no_heatmaps(one, monkeypatch):
    data = open_data(one, ratios=Ratios(text=1.0, reference=1.0, audio=1.0, pose=1.0, motion=1.0))
    batch = data.batch(0)
    monkeypatch.setattr("training.data.batch.render_heatmaps", lambda *_: pytest.fail("heatmaps were drawn"))
    config = build_transformer(load_profile("laptop", list(TINY)), None, 0).config
    assert batch_tokens(batch) == data.numbers(0)["tokens"] == 10 * 4 * (3 + 1 + 2) and batch_flops(config, batch) > 0


def test_features_of_another_encoder_are_refused_by_both_hashes(one, tmp_path):
    folder = tmp_path / "copy"
    write_snapshot(folder)
    manifest = folder / "snapshot" / "snapshot.json"
    manifest.write_text(
        json.dumps(json.loads(manifest.read_text()) | {"encoders": {"audio": "ab" * 32, "text_tokens": 5}})
    )
    with pytest.raises(
        SnapshotError,
        match=r"audio: made with abababababab, the profile's profile:laptop/wav2vec2 is [0-9a-f]{12}; text_tokens: made with 5",
    ):
        open_data(folder)
    # Weights that are elsewhere cannot be compared, and training does not need them.
    elsewhere = ["encoders.audio=./weights/none", "encoders.text_tokens=5"]
    assert len(open_data(folder, elsewhere)) == 24


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("transformer.audio_dim=9", "audio: rows of 9x2x8, the profile takes 9x2x9"),
        ("transformer.text_dim=13", "text: rows of 5x12, the profile takes anyx13"),
        ("video.height=48", "has samples of the bucket 32x32x9@16, the profile laptop has 48x32x9@16"),
    ],
)
def test_features_of_other_sizes_are_refused_by_both_sizes(one, override, message):
    with pytest.raises(SnapshotError, match=message):
        open_data(one, [override])


def test_features_without_motion_are_refused(tmp_path):
    write_snapshot(tmp_path)
    path = tmp_path / "features" / "s-0" / f"features-{Rows().bucket}.safetensors"
    save_file({name: value for name, value in load_file(path).items() if name != "motion_latents"}, path)
    with pytest.raises(SnapshotError, match="motion_latents: rows of nothing.*re-run condition_features"):
        open_data(tmp_path)


def test_a_snapshot_of_an_earlier_version_and_a_missing_shard_say_what_to_run(tmp_path):
    write_snapshot(tmp_path)
    table = tmp_path / "snapshot" / "samples.parquet"
    rows = pd.read_parquet(table)
    rows.assign(shard="s-9").to_parquet(table)
    with pytest.raises(SnapshotError, match="names shard s-9.*re-run condition_features"):
        open_data(tmp_path)
    rows.drop(columns="bucket").to_parquet(table)
    with pytest.raises(SnapshotError, match="no column bucket.*earlier version"):
        open_data(tmp_path)


def test_mouths_are_read_for_whoever_asks_and_for_nobody_else(one):
    profile = load_profile("laptop", TINY)
    paths = one / "snapshot", one / "features"
    asked = SnapshotData(*paths, profile, "text", 3, 10, RATIOS, lips=True).batch(0)
    assert asked.lips is not None and asked.lips.shape == (10, profile.video.frames, 20, 3)
    assert SnapshotData(*paths, profile, "text", 3, 10, RATIOS).batch(0).lips is None


def test_a_condition_without_samples_is_said_before_the_first_stage(one):
    profile, table = load_profile("laptop", TINY), open_data(one).table
    check_conditions(table, profile, "stage_1", one)
    mute = table.assign(pose=False)
    with pytest.raises(SnapshotError, match=r"stage_3 brings in pose \(ratio 0.25\).*stage_3.ratios.pose=0"):
        check_conditions(mute, profile, "stage_1", one)
    check_conditions(mute, load_profile("laptop", [*TINY, "stage_3.ratios.pose=0"]), "stage_1", one)
    check_conditions(table.assign(audio=False), profile, "stage_3", one)
