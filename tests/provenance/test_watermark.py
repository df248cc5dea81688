"""The invisible mark: what it says, what it costs, and which edits leave it."""

from datetime import date

import cv2
import numpy as np
import pytest
import torch

from media import encode_clip
from omnihuman.exporting.marking import Marking
from provenance.outcomes import CHANGED, NO_MARK, UNTOUCHED
from provenance.verify import verify_files
from provenance.watermark.find import find
from provenance.watermark.mark import mark
from provenance.watermark.pattern import SIDE, drawn, laid, signs
from provenance.watermark.payload import CODED, Payload, decode, encode
from puppets import render
from puppets.measure import measure

PAYLOAD = Payload(3, date(2026, 11, 29))


def film(frames: int = 8, height: int = 256, width: int = 256) -> np.ndarray:
    """`(T, H, W, 3)` uint8: a disc that moves over soft clouds."""
    random = np.random.default_rng(3)
    clouds = cv2.GaussianBlur(random.normal(0, 1, (height, width, 3)), (0, 0), 12)
    ground = np.clip(128 + 60 * clouds / clouds.std(), 0, 255).astype(np.uint8)
    made = [
        cv2.circle(ground.copy(), (width // 2 + 3 * step, height // 2), height // 5, (190, 140, 110), -1)
        for step in range(frames)
    ]
    return np.stack(made)


def test_a_payload_survives_a_fifth_of_its_coded_symbols_turned_round():
    bits = PAYLOAD.bits()
    sent = encode(bits)
    assert sent.shape == (CODED,) == (224,)
    sent[np.random.default_rng(0).choice(CODED, 40, replace=False)] *= -1
    assert Payload.from_bits(decode(sent)) == PAYLOAD


def test_a_check_sum_that_does_not_fit_is_no_payload():
    bits = PAYLOAD.bits()
    bits[5] ^= 1
    assert Payload.from_bits(bits) is None


@pytest.mark.parametrize("size", [(256, 256), (256, 456), (480, 272)])
def test_the_mark_is_found_where_it_was_put_and_costs_at_most_forty_decibels(size):
    plain = film(4, *size)
    marked = mark(plain, PAYLOAD)
    error = np.mean((marked.astype(float) - plain) ** 2)
    assert 10 * np.log10(255**2 / error) >= 40
    found = find(marked)
    assert found.marked and found.in_place and found.payload == PAYLOAD


def drifting(frames: int = 8) -> np.ndarray:
    """`(T, 256, 256, 3)` uint8: all of the picture moves."""
    wide = film(1, 256, 256 + 12 * frames)[0]
    return np.stack([wide[:, 12 * step : 12 * step + 256] for step in range(frames)])


def test_what_moves_is_spared_where_enough_stands_still():
    plain = film(16)
    change = np.abs(mark(plain, PAYLOAD).astype(int) - plain).mean(axis=(0, 3))
    moved = plain.astype(float).std(axis=0).mean(axis=-1) > 20
    assert moved.any() and change[moved].mean() < 0.2 * change[:64].mean()


def test_a_film_is_marked_as_strongly_as_it_needs_and_all_of_it_where_all_moves():
    def loss(plain: np.ndarray) -> float:
        return float(10 * np.log10(255**2 / np.mean((mark(plain, PAYLOAD).astype(float) - plain) ** 2)))

    still, moving = loss(np.repeat(film(1), 8, axis=0)), loss(drifting())
    assert still > 42.5 and 40 <= moving < 41.5
    assert find(mark(drifting(), PAYLOAD)).payload == PAYLOAD


@pytest.mark.parametrize("size", [256, 128])
def test_a_mark_of_before_equally_strong_everywhere_is_still_read(size):
    plain = film(8, size, size)
    steps = laid(drawn(signs(PAYLOAD)), SIDE, SIDE)
    if size < SIDE:
        steps = cv2.resize(steps, (size, size), interpolation=cv2.INTER_CUBIC)
    assert find(np.clip(plain + np.rint(steps)[..., None], 0, 255).astype(np.uint8)).payload == PAYLOAD


def test_thin_discs_of_full_colour_keep_it_in_an_enlarged_picture():
    """Each channel of a disc is at an end: a step up or down would move the two others alone, and the colour would pale."""
    clips = [render(90_000_001 + number, frames=5).frames for number in range(4)]
    plain, marked = (
        [Marking(False, payload, None).pictures(torch.from_numpy(clip), 16)[:, ::4, ::4] for clip in clips]
        for payload in (None, PAYLOAD)
    )
    before, after = (np.mean([measure(pictures).mass for pictures in kind]) for kind in (plain, marked))
    assert not (plain[0] == marked[0]).all() and abs(after - before) < 0.001 * before


def test_a_film_that_goes_from_black_to_white_and_vivid_things_in_it_keep_the_mark():
    fade = np.concatenate([film(2), np.zeros((1, 256, 256, 3), np.uint8), np.full((1, 256, 256, 3), 255, np.uint8)])
    cv2.rectangle(fade[0], (0, 0), (60, 255), (255, 0, 0), -1)
    marked = mark(fade, PAYLOAD)
    assert (marked[0, :, :60] == fade[0, :, :60]).all(), "full red has no room"
    assert find(marked).payload == PAYLOAD


def test_scaled_cut_and_both_it_is_still_read():
    marked = mark(film(), PAYLOAD)
    small = np.stack([cv2.resize(image, (192, 192), interpolation=cv2.INTER_AREA) for image in marked])
    cut = marked[:, 11:241, 7:237]
    assert find(small).payload == PAYLOAD and find(small).in_place
    assert find(cut).payload == PAYLOAD and not find(cut).in_place
    assert find(small[:, 11:184, 9:182]).payload == PAYLOAD


@pytest.mark.parametrize("pictures", [film(), np.zeros((2, 64, 64, 3), np.uint8), np.zeros((0, 64, 64, 3), np.uint8)])
def test_pictures_without_it_are_not_said_to_carry_it(pictures):
    assert not find(pictures).marked


def test_a_file_that_lost_its_signature_still_says_that_we_made_it(tmp_path):
    marked = mark(film(), PAYLOAD)
    (tmp_path / "again.mp4").write_bytes(encode_clip(marked, 16, crf=28, pixel_format="yuv420p"))
    (tmp_path / "cut.mp4").write_bytes(encode_clip(marked[:, 10:240, 12:242], 16, crf=23, pixel_format="yuv420p"))
    (tmp_path / "plain.mp4").write_bytes(encode_clip(film(), 16, crf=28, pixel_format="yuv420p"))
    again, cut, plain = verify_files([tmp_path / name for name in ("again.mp4", "cut.mp4", "plain.mp4")])
    assert [layer.outcome for layer in again.layers] == [NO_MARK, UNTOUCHED] and again.outcome == CHANGED
    assert again.layers[1].says == {"version": 3, "day": "2026-11-29"}
    assert [layer.outcome for layer in cut.layers] == [NO_MARK, CHANGED] and cut.outcome == CHANGED
    assert plain.outcome == NO_MARK
