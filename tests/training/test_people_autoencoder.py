"""The recipe of the autoencoder of people: what a batch shows and weighs, and that it goes on where it ended."""

import json
import os
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from media import write_atomically
from tests import forked
from training.recipes.people_autoencoder import CONFIG, WEIGHTS, _changes, new_model
from training.recipes.people_batches import crop_around, draw_batch, weight_map
from training.recipes.people_clips import REGIONS, ClipsOnDisk, region_boxes, render_piece
from training.recipes.people_revival import revive
from training.recipes.people_schedule import Cycle, PeopleAutoencoderRecipe, Phase, phase_of, rate_at, value_at

RECIPE = PeopleAutoencoderRecipe(
    phases=(Phase(4, 1, 2), Phase(6, 5, 1)), cycles=(Cycle(10, 1.0, 0.5), Cycle(14, 0.5, 1.0)), warmup=2, crop=32
)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two pieces of clips that were not rendered: what is tested here is what happens to them."""
    from safetensors.numpy import save

    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for number in range(2):
        boxes = np.zeros((32, 9, 4, 4), np.int16)
        boxes[:, :, 0] = (16, 8, 48, 56)
        boxes[:, :, 1] = (28, 40, 38, 46)
        piece = {"frames": rng.integers(0, 255, (32, 9, 64, 64, 3)).astype(np.uint8), "boxes": boxes}
        write_atomically(folder / f"piece-{number:05d}.safetensors", save(piece))
    return folder


def test_phases_and_rates_follow_the_steps():
    assert [phase_of(RECIPE, step).frames for step in (0, 3, 4, 9, 12)] == [1, 1, 5, 5, 5]
    rates = [rate_at(RECIPE, step) for step in range(10)]
    assert rates[:5] == [0.5, 1, 1, 1, 1] and rates[5:] == sorted(rates[5:], reverse=True) and rates[9] < 0.25
    assert rate_at(RECIPE, 11) == pytest.approx(0.5 * (0.02 + 0.98 * 0.75)) and rate_at(RECIPE, 99) < 0.02
    assert [value_at(((0, 1.0), (5, 0.1)), step) for step in (0, 4, 5, 9)] == [1.0, 1.0, 0.1, 0.1]


def test_a_mouth_weighs_more_than_its_face_and_crops_show_a_region():
    boxes = np.zeros((1, 4, 4), np.int16)
    boxes[0, 0], boxes[0, 1] = (16, 8, 48, 56), (28, 40, 38, 46)
    weight = weight_map(boxes, 64, (3.0, 8.0, 5.0, 5.0))[0]
    assert (weight[43, 30], weight[20, 20], weight[0, 0], weight[43, 40]) == (8, 3, 1, 3)
    for seed in range(8):
        rows, columns = crop_around(boxes, 64, 32, np.random.default_rng(seed))
        assert (rows.stop - rows.start, columns.stop - columns.start) == (32, 32)
        assert weight[rows, columns].max() == 8 or weight[rows, columns].mean() > 2


def test_a_batch_is_whole_pictures_or_four_times_as_many_crops(clips):
    source = ClipsOnDisk(clips)
    assert source.look_again() == 64
    whole, weight = draw_batch(source, np.random.default_rng(4), 1, 5, None, RECIPE.region_weights)
    crops, _ = draw_batch(source, np.random.default_rng(5), 1, 5, 32, RECIPE.region_weights)
    assert whole.shape == (1, 3, 5, 64, 64) and weight.shape == (1, 1, 5, 64, 64) and crops.shape == (4, 3, 5, 32, 32)
    again, _ = draw_batch(source, np.random.default_rng(4), 1, 5, None, RECIPE.region_weights)
    assert torch.equal(again, whole), "the same step sees the same clips"


def test_odds_decide_which_region_a_crop_shows():
    boxes = np.zeros((1, 4, 4), np.int16)
    boxes[0, 1], boxes[0, 2] = (2, 2, 6, 6), (58, 58, 62, 62)
    for odds, corner in (((0, 1, 0, 0), 0), ((5, 0, 1, 0), 32)):
        parts = [crop_around(boxes, 64, 32, np.random.default_rng(seed), odds) for seed in range(8)]
        assert {(rows.start, columns.start) for rows, columns in parts} == {(corner, corner)}


def test_what_changes_alike_in_both_costs_nothing():
    still = torch.rand(1, 3, 1, 8, 8).expand(1, 3, 5, 8, 8)
    weight = torch.ones(1, 1, 5, 8, 8)
    assert _changes(still, weight) == 0, "a difference that stays is no change"
    steps = torch.arange(5.0).view(1, 1, 5, 1, 1).expand(1, 3, 5, 8, 8)
    assert _changes(steps, weight) == pytest.approx((1 + 2 + 4) / 3)
    assert _changes(still[:, :, :1], weight[:, :, :1]) == 0


def test_a_second_recipe_begins_with_the_weights_of_the_first(clips, tmp_path):
    first = new_model(SMALL)
    (tmp_path / "first").mkdir()
    save_file(first.state_dict(), tmp_path / "first" / WEIGHTS)
    done = in_a_world_of_one(BEGUN, clips, tmp_path)
    assert done == [0, True, True]


def test_cells_of_two_frames_begin_with_all_weights_but_the_halving_of_time_that_they_lack(clips, tmp_path):
    first = new_model(SMALL)
    (tmp_path / "first").mkdir()
    save_file(first.state_dict(), tmp_path / "first" / WEIGHTS)
    steps, strides, left_out, kept = in_a_world_of_one(PAIRED, clips, tmp_path)
    assert (steps, strides, kept) == (1, [2, 9], True)
    assert {name.rsplit(".", 1)[0] for name in left_out} == {
        "encoder.down_blocks.0.downsampler.time_conv",
        "decoder.up_blocks.1.upsampler.time_conv",
    }


def test_rendered_boxes_hold_what_they_name(monkeypatch):
    monkeypatch.setattr("training.recipes.people_clips.PIECE", 4)
    piece = render_piece(71_000_000, 0, 1, 32)
    assert piece["frames"].shape == (4, 1, 32, 32, 3) and piece["boxes"].shape == (4, 1, len(REGIONS), 4)
    face, mouth = piece["boxes"][:, 0, 0], piece["boxes"][:, 0, 1]
    seen = mouth.any(axis=1)
    assert (
        seen.mean() > 0.5
        and (face[seen][:, 0] <= mouth[seen][:, 0]).all()
        and (face[seen][:, 3] + 1 >= mouth[seen][:, 3]).all()
    )
    assert not region_boxes(np.zeros((2, 133, 3), np.float32), 64).any(), "unseen points have no box"


@torch.no_grad()
def test_a_channel_that_carried_nothing_carries_something_new_and_the_others_stay():
    torch.manual_seed(0)
    model = new_model(SMALL).eval()
    model.quant_conv.weight[1], model.quant_conv.bias[1] = 0, 0
    model.quant_conv.bias[4:] = -8  # the variances: what the other three say is heard
    pixels = torch.rand(4, 3, 5, 64, 64) * 2 - 1
    before = model.encode(pixels).latent_dist
    assert not before.mean[:, 1].any()
    assert revive(model, pixels.split(2)) == [1]
    after = model.encode(pixels).latent_dist
    kept = [0, 2, 3]
    torch.testing.assert_close(after.mean[:, kept], before.mean[:, kept])
    assert after.mean[:, 1].std() == pytest.approx(1, abs=0.1) and after.mean[:, 1].mean().abs() < 0.1
    shares = torch.corrcoef(after.mean.transpose(0, 1).flatten(1))[1, kept]
    assert shares.abs().max() < 0.05, "what it carries is not what another one carries"
    assert revive(model, pixels.split(2)) == []


RESUMED = """
import json, sys
from pathlib import Path
from tests.training.test_people_autoencoder import RESUMABLE, SMALL
from training.recipes.people_autoencoder import Training
from training.recipes.people_batches import crop_around, draw_batch, weight_map
from training.recipes.people_clips import ClipsOnDisk
clips, work = ClipsOnDisk(Path(sys.argv[1])), Path(sys.argv[2])
clips.look_again()
straight = Training(RESUMABLE, clips, work / "straight", SMALL)
losses = [straight.advance() for _ in range(2)]
first = Training(RESUMABLE, clips, work / "stopped", SMALL)
first.advance(), first.save()
second = Training(RESUMABLE, clips, work / "stopped", SMALL)
again = second.advance()
same = all(value.equal(straight.average[name]) for name, value in second.average.items())
print("RESULT", json.dumps([second.step, losses[1] == again, same, losses[1] != losses[0]]))
"""
RESUMABLE = replace(RECIPE, phases=(Phase(1, 1, 1), Phase(5, 5, 1)), optimizer="adamw", lr=1e-3)
SMALL = CONFIG | {"base_dim": 8, "decoder_base_dim": 8, "z_dim": 4}


BEGUN = """
import json, sys
from dataclasses import replace
from pathlib import Path
from safetensors.torch import load_file
from tests.training.test_people_autoencoder import RESUMABLE, SMALL
from training.recipes.people_autoencoder import WEIGHTS, Training
from training.recipes.people_clips import ClipsOnDisk
clips, folder = ClipsOnDisk(Path(sys.argv[1])), Path(sys.argv[2])
clips.look_again()
weighed = replace(RESUMABLE, phases=RESUMABLE.phases[1:], motion_weight=1.0)
losses, stored = [], load_file(folder / "first" / WEIGHTS)
for recipe in (weighed, replace(weighed, motion_weight=0.0)):
    training = Training(recipe, clips, folder / "work", SMALL, start=folder / "first")
    begun = training.step, all(value.equal(stored[name]) for name, value in training.averaged().state_dict().items())
    losses.append(training.advance())
print("RESULT", json.dumps([*begun, losses[0] > losses[1]]))
"""


PAIRED = """
import json, sys
from dataclasses import replace
from pathlib import Path
import torch
from safetensors.torch import load_file
from omnihuman.autoencoder import LatentGrid
from tests.training.test_people_autoencoder import RESUMABLE, SMALL
from training.recipes.people_autoencoder import WEIGHTS, Training, config_of
from training.recipes.people_clips import ClipsOnDisk
clips, folder = ClipsOnDisk(Path(sys.argv[1])), Path(sys.argv[2])
clips.look_again()
recipe = replace(RESUMABLE, phases=RESUMABLE.phases[1:], temporal_downsample=(False, True))
small = {name: SMALL[name] for name in ("base_dim", "decoder_base_dim", "z_dim")}
training = Training(recipe, clips, folder / "work", config_of(recipe) | small, start=folder / "first")
stored, model = load_file(folder / "first" / WEIGHTS), training.averaged()
own = model.state_dict()
latents = model.encode(torch.zeros(1, 3, 17, 64, 64)).latent_dist.mean
kept = all(value.equal(stored[name]) for name, value in own.items())
training.advance()
print("RESULT", json.dumps([training.step, [LatentGrid.of(model).temporal_stride, latents.shape[2]], sorted(set(stored) - set(own)), kept]))
"""


def in_a_world_of_one(code, *arguments):
    """What `code` prints behind RESULT, run as a rank that is alone."""
    world = {"WORLD_SIZE": "1", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29677"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = forked.run(command, capture_output=True, text=True, env=os.environ | world)
    result = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert result, done.stdout + done.stderr
    return json.loads(result[0].removeprefix("RESULT "))


def test_a_training_that_was_stopped_goes_on_to_the_same_weights(clips, tmp_path):
    assert in_a_world_of_one(RESUMED, clips, tmp_path) == [2, True, True, True]
