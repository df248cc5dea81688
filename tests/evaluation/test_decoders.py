"""Two decoders on the same latents: equal ones tie, a damaged one loses, and the table says so."""

import copy
from types import SimpleNamespace

import pytest
import torch

from evaluation.questions.decoders import OWN, SLIM, as_markdown, compare_decoders
from omnihuman.autoencoder import load_autoencoder
from profiles import load_profile, resolve_source


@pytest.fixture(scope="module")
def own():
    return load_autoencoder(resolve_source(load_profile("laptop").encoders.autoencoder))


def test_the_same_decoder_ties_with_itself_and_a_damaged_one_loses(own, benchmark):
    equal = compare_decoders(own, own, benchmark)
    assert [row.name for row in equal] == [OWN, SLIM] and equal[1].psnr_own == float("inf")
    assert equal[0].psnr_truth == equal[1].psnr_truth > 25 and equal[0].mouth_correlation > 0.9
    damaged = copy.deepcopy(own)
    with torch.no_grad():
        damaged.decoder.conv_out.weight.mul_(0.2)
    worse = compare_decoders(own, damaged, benchmark)[1]
    assert worse.psnr_truth < equal[0].psnr_truth - 3 and worse.psnr_own < 30 and worse.detail < 0.9 * equal[0].detail
    assert worse.missing_joints > equal[0].missing_joints


def test_the_table_has_both_and_how_much_faster(own, benchmark):
    lines = as_markdown(compare_decoders(own, own, benchmark)).splitlines()
    assert (
        "mouth r" in lines[0]
        and len(lines) == 4
        and lines[2].split("|")[4].strip() == "1.00"
        and all(line.count("|") == 10 for line in lines)
    )


class People:
    """Two clips of different shapes, in which nobody reads a puppet's mouth."""

    names, fps = ("a", "b"), 16.0

    def __init__(self):
        self.frames = [
            torch.full((9, 64, 64, 3), 60, dtype=torch.uint8),
            torch.full((5, 64, 96, 3), 90, dtype=torch.uint8),
        ]
        for frames in self.frames:
            frames[:, 16:48, 16:48] = 200

    def __len__(self):
        return len(self.frames)

    def sample(self, clip):
        return SimpleNamespace(frames=self.frames[clip])

    def shape(self, clip):
        return tuple(self.frames[clip].shape[:3])

    def heard(self, clip):
        return True

    posed = heard


def test_clips_of_people_are_compared_by_their_pixels_whatever_their_shapes(own):
    rows = compare_decoders(own, own, People())
    assert rows[0].psnr_truth == rows[1].psnr_truth > 15 and rows[1].psnr_own == float("inf")
    assert rows[0].mouth_correlation is None
    table = as_markdown(rows).splitlines()
    assert "mouth" not in table[0] and all(line.count("|") == 8 for line in table)
