"""A narrower decoder: the same latents, a loss that is zero for the same picture, and training that brings it nearer to the own one."""

import pytest
import torch

from omnihuman.autoencoder import (
    decode_video,
    encode_video,
    has_the_same_latents,
    load_autoencoder,
    to_pixels,
    with_narrower_decoder,
)
from profiles import load_profile, resolve_source
from puppets import render
from training.distillation.decoder import Decoder, decoder_loss, pieces


@pytest.fixture(scope="module")
def own():
    return load_autoencoder(resolve_source(load_profile("laptop").encoders.autoencoder))


@pytest.fixture(scope="module")
def latents(own):
    frames = torch.stack([torch.from_numpy(render(70_000_000 + i, frames=9).frames) for i in range(2)])
    return encode_video(own, to_pixels(frames))


def test_it_encodes_alike_and_decodes_to_the_same_shape_with_fewer_weights(own, latents, tmp_path):
    slim = with_narrower_decoder(own, 8)
    slim.to(torch.bfloat16).save_pretrained(tmp_path)
    loaded = load_autoencoder(tmp_path)
    assert has_the_same_latents(own, loaded)
    assert decode_video(loaded, latents).shape == decode_video(own, latents).shape == (2, 3, 9, 64, 64)
    assert sum(p.numel() for p in loaded.decoder.parameters()) < sum(p.numel() for p in own.decoder.parameters()) / 6


def test_another_encoder_or_normalisation_is_told_apart(own):
    other = with_narrower_decoder(own, 8)
    with torch.no_grad():
        next(other.encoder.parameters()).add_(1.0)
    assert not has_the_same_latents(own, other)
    moved = with_narrower_decoder(own, 8)
    moved.register_to_config(latents_mean=[1.0] * 16)
    assert not has_the_same_latents(own, moved)


def test_a_decoder_that_is_no_narrower_is_refused(own):
    with pytest.raises(
        ValueError, match=r"narrower decoder than one of 24 channels has fewer, got slim_decoder.base_dim = 24"
    ):
        with_narrower_decoder(own, 24)


def test_the_loss_is_zero_for_the_same_picture_and_counts_edges():
    picture = torch.zeros(1, 3, 1, 4, 4)
    brighter, striped = picture + 0.5, picture.clone()
    striped[..., ::2] = 0.5
    assert decoder_loss(picture, picture, 1.0, 1.0) == 0
    assert decoder_loss(brighter, picture, 1.0, 0.0) == pytest.approx(0.5)  # no edge differs
    assert decoder_loss(striped, picture, 2.0, 0.0) == pytest.approx(0.25 + 2.0 * 0.5)
    assert decoder_loss(brighter, picture, 1.0, 4.0) == pytest.approx(0.5 + 4.0 * 0.25)


def test_the_student_begins_as_the_first_channels_of_its_teacher(own):
    slim = with_narrower_decoder(own, 8)
    wide, narrow = own.decoder.conv_in.weight, slim.decoder.conv_in.weight
    assert narrow.shape[0] == wide.shape[0] // 3
    torch.testing.assert_close(narrow, wide[: narrow.shape[0]].float())
    assert slim.post_quant_conv.weight.equal(own.post_quant_conv.weight.float())


def test_pieces_are_cut_and_every_second_sample_gets_noise():
    config = load_profile("laptop", ["slim_decoder.crop=4", "slim_decoder.noise=0.5"]).slim_decoder
    whole = torch.arange(4 * 16 * 3 * 6 * 6.0).view(4, 16, 3, 6, 6)
    cut = pieces(whole, config, torch.Generator().manual_seed(0))
    assert cut.shape == (4, 16, 3, 4, 4)
    inside = [whole[:, :, :, i : i + 4, j : j + 4] for i in range(3) for j in range(3)]
    assert any(torch.equal(cut[::2], part[::2]) for part in inside)
    assert all(not torch.equal(cut[1::2], part[1::2]) for part in inside)


def test_steps_bring_it_nearer_and_leave_the_encoder_alone(own, latents):
    torch.manual_seed(0)
    model = Decoder(with_narrower_decoder(own, 8))
    before = {name: value.clone() for name, value in model.autoencoder.encoder.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    wanted, losses = decode_video(own, latents), []
    for _ in range(12):
        loss = decoder_loss(model(latents), wanted, 1.0, 0.0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
    assert all(value.equal(before[name]) for name, value in model.autoencoder.encoder.state_dict().items())
