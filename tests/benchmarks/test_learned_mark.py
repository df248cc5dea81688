"""The network's mark that ours is compared with: what is put into its cells is read wherever they lie, and it is as strong as ours."""

from datetime import date

import cv2
import numpy as np
import pytest
import torch

from benchmarks.provenance.learned_mark import CELL, SEEN, Decoder, Encoder, LearnedMark, _read_near, tile_of
from provenance.watermark.payload import Payload, encode

PAYLOAD = Payload(300, date(2026, 11, 30))


@pytest.mark.parametrize(("shift", "scale"), [((0, 0), 1.0), ((5, 27), 1.0), ((3, 1), 0.9)])
def test_cells_are_read_wherever_they_lie(shift, scale):
    cells = np.tile(tile_of(encode(PAYLOAD.bits())), (3, 3)).astype(np.float32)
    answers = np.roll(cv2.blur(cells.repeat(CELL // SEEN, 0).repeat(CELL // SEEN, 1), (3, 3)), shift, (0, 1))[
        :128, :128
    ]
    shown = cv2.resize(answers, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_LINEAR)
    found = _read_near(shown, scale)
    assert found.payload == PAYLOAD and LearnedMark.is_marked(found)


def test_an_encoder_is_as_strong_as_our_mark_and_weights_come_back(tmp_path):
    torch.manual_seed(0)
    frames = np.random.default_rng(0).integers(60, 190, (2, 256, 256, 3), np.uint8)
    networks = LearnedMark(Encoder(), Decoder())
    networks.save(tmp_path / "weights.safetensors")
    marked = networks.mark(frames, PAYLOAD)
    assert 10 * np.log10(255**2 / np.mean((marked.astype(float) - frames) ** 2)) == pytest.approx(40.3, abs=0.05)
    assert (LearnedMark.load(tmp_path / "weights.safetensors").mark(frames, PAYLOAD) == marked).all()
